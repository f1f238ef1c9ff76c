/* An upstream that costs next to nothing: mock PORT ANSWER_FILE
 *
 * Reads each request whole, then answers it with the file, or, where it asks for a stream, with events: 64 back to back,
 * 64 that are PAUSE_NS apart (model bench-paced), or one and then silence (model bench-idle). The event with the usage is
 * sent to those who ask for it. One thread; Linux only.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "event.h"

#define EVENTS 64
#define PAUSE_NS 50000000LL
#define KEPT_BYTES 16384 /* of a request: its head and the beginning of its body, where it says what it wants */

#define PLAIN_HEAD \
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: req-bench\r\nContent-Length: %zu\r\n\r\n"
#define STREAM_HEAD \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n" \
    "x-request-id: req-bench\r\nTransfer-Encoding: chunked\r\n\r\n"
#define USAGE \
    "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench-model\"," \
    "\"choices\":[],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":10,\"total_tokens\":30}}"

enum pace { BURST, PACED, IDLE };

struct call {
    int fd;
    bool in_body, queued, closed;
    size_t kept, head, body_left;
    enum pace pace;
    bool usage;
    int events;
    long long due_ns;
    struct call *next; /* in the queue of those that are due later */
    char *out;         /* what the peer did not take yet */
    size_t out_bytes, out_room;
    char request[KEPT_BYTES + 1];
};

static int poll_fd;
static char *answer;
static size_t answer_bytes;
static struct call *first_due, *last_due;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(struct call *call, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = call};
    epoll_ctl(poll_fd, operation, call->fd, &event);
}

static void let_go(struct call *call)
{
    if (call->queued)
        return; /* the queue lets it go */
    free(call->out);
    free(call);
}

static void hang_up(struct call *call)
{
    close(call->fd);
    call->closed = true;
    let_go(call);
}

static bool say(struct call *call, const char *data, size_t bytes)
{
    if (!call->out_bytes) {
        ssize_t sent = send(call->fd, data, bytes, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return false;
        sent = sent < 0 ? 0 : sent;
        data += sent;
        bytes -= sent;
        if (bytes)
            watch(call, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
    if (!bytes)
        return true;
    if (call->out_bytes + bytes > call->out_room) {
        call->out_room = 2 * (call->out_bytes + bytes);
        call->out = realloc(call->out, call->out_room);
        if (!call->out)
            fail("realloc");
    }
    memcpy(call->out + call->out_bytes, data, bytes);
    call->out_bytes += bytes;
    return true;
}

static bool say_rest(struct call *call)
{
    ssize_t sent = send(call->fd, call->out, call->out_bytes, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN;
    call->out_bytes -= sent;
    memmove(call->out, call->out + sent, call->out_bytes);
    if (!call->out_bytes)
        watch(call, EPOLL_CTL_MOD, EPOLLIN);
    return true;
}

static bool say_chunk(struct call *call, const char *text, const char *after)
{
    char chunk[1024];
    int bytes = snprintf(chunk, sizeof chunk, "%zx\r\n%s\n\n\r\n%s", strlen(text) + 2, text, after);
    return say(call, chunk, bytes);
}

static bool say_event(struct call *call)
{
    char text[512];
    snprintf(text, sizeof text, EVENT_HEAD EVENT_STAMP EVENT_TAIL, now_ns(), call->events++);
    return say_chunk(call, text, "");
}

static bool say_end(struct call *call)
{
    return (!call->usage || say_chunk(call, USAGE, "")) && say_chunk(call, EVENT_LAST, "0\r\n\r\n");
}

static void put_off(struct call *call, long long due_ns)
{
    call->due_ns = due_ns; /* all pause equally long, so the last in the queue is the last due */
    call->next = NULL;
    call->queued = true;
    *(first_due ? &last_due->next : &first_due) = call;
    last_due = call;
}

static bool begin_stream(struct call *call)
{
    call->events = 0;
    if (!say(call, STREAM_HEAD, sizeof STREAM_HEAD - 1) || !say_event(call))
        return false;
    if (call->pace == PACED)
        put_off(call, now_ns() + PAUSE_NS);
    if (call->pace != BURST)
        return true;
    while (call->events < EVENTS)
        if (!say_event(call))
            return false;
    return say_end(call);
}

static bool asks(struct call *call, const char *spaced)
{
    char close[64], *to = close;
    for (const char *from = spaced; *from; from++)
        if (*from != ' ')
            *to++ = *from;
    *to = 0;
    const char *body = call->request + call->head;
    return strstr(body, close) || strstr(body, spaced);
}

static bool reply(struct call *call)
{
    call->request[call->kept] = 0;
    bool stream = asks(call, "\"stream\": true");
    call->usage = asks(call, "\"include_usage\": true");
    call->pace = asks(call, "\"model\": \"bench-paced\"") ? PACED : asks(call, "\"model\": \"bench-idle\"") ? IDLE : BURST;
    call->in_body = false;
    call->kept = 0;
    return stream ? begin_stream(call) : say(call, answer, answer_bytes);
}

/* Both take what they need of `data`, and answer how much that was; 0 is a request that the mock does not understand. */
static size_t take_head(struct call *call, const char *data, size_t bytes)
{
    size_t copied = bytes < KEPT_BYTES - call->kept ? bytes : KEPT_BYTES - call->kept;
    memcpy(call->request + call->kept, data, copied);
    call->request[call->kept + copied] = 0;
    char *end = strstr(call->request, "\r\n\r\n");
    if (!end) {
        call->kept += copied;
        return copied;
    }
    *end = 0;
    char *length = strcasestr(call->request, "\ncontent-length:");
    if (!length)
        return 0;
    call->body_left = strtoul(length + strlen("\ncontent-length:"), NULL, 10);
    call->head = end + 4 - call->request;
    call->in_body = true;
    size_t used = call->head - call->kept;
    call->kept = call->head;
    return used;
}

static size_t take_body(struct call *call, const char *data, size_t bytes)
{
    size_t used = bytes < call->body_left ? bytes : call->body_left;
    size_t kept = used < KEPT_BYTES - call->kept ? used : KEPT_BYTES - call->kept;
    memcpy(call->request + call->kept, data, kept);
    call->kept += kept;
    call->body_left -= used;
    return used;
}

static bool hear(struct call *call)
{
    static char data[262144];
    ssize_t bytes = recv(call->fd, data, sizeof data, 0);
    if (bytes < 0 && errno == EAGAIN)
        return true;
    if (bytes <= 0)
        return false;
    for (char *at = data, *end = data + bytes; at < end;) {
        size_t used = call->in_body ? take_body(call, at, end - at) : take_head(call, at, end - at);
        at += used;
        if (!used || (call->in_body && !call->body_left && !reply(call)))
            return false;
    }
    return true;
}

static void say_what_is_due(void)
{
    while (first_due && first_due->due_ns <= now_ns()) {
        struct call *call = first_due;
        first_due = call->next;
        call->queued = false;
        if (call->closed)
            let_go(call);
        else if (!say_event(call) || (call->events == EVENTS && !say_end(call)))
            hang_up(call);
        else if (call->events < EVENTS)
            put_off(call, call->due_ns + PAUSE_NS);
    }
}

static void take_calls(int listening)
{
    int fd, one = 1;
    while ((fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct call *call = calloc(1, sizeof *call);
        if (!call)
            fail("calloc");
        call->fd = fd;
        watch(call, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static int listen_at(int port)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096))
        fail("listen");
    return fd;
}

static void read_answer(const char *path)
{
    char body[65536];
    FILE *file = fopen(path, "rb");
    if (!file)
        fail(path);
    size_t bytes = fread(body, 1, sizeof body, file);
    fclose(file);
    answer = malloc(bytes + 512);
    answer_bytes = snprintf(answer, 512, PLAIN_HEAD, bytes);
    memcpy(answer + answer_bytes, body, bytes);
    answer_bytes += bytes;
}

int main(int count, char **words)
{
    if (count != 3) {
        fprintf(stderr, "usage: mock PORT ANSWER_FILE\n");
        return 2;
    }
    read_answer(words[2]);
    int listening = listen_at(atoi(words[1]));
    poll_fd = epoll_create1(0);
    struct epoll_event listener = {.events = EPOLLIN}, ready[256];
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, listening, &listener);
    for (;;) {
        long long wait_ns = first_due ? first_due->due_ns - now_ns() : -1;
        int wait_ms = !first_due ? -1 : wait_ns < 0 ? 0 : (wait_ns + 999999) / 1000000;
        int found = epoll_wait(poll_fd, ready, 256, wait_ms);
        for (int i = 0; i < found; i++) {
            struct call *call = ready[i].data.ptr;
            if (!call)
                take_calls(listening);
            else if ((ready[i].events & EPOLLOUT && !say_rest(call)) || (ready[i].events & ~EPOLLOUT && !hear(call)))
                hang_up(call);
        }
        say_what_is_due();
    }
}
