/* A connection with one call at a time: its request. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "event.h"
#include "options.h"
#include "tally.h"

#define LINE_BYTES 4096
#define WAITING 1048576 /* calls that were due and found no free connection; a power of two */

enum phase { FREE, HEAD, BODY, SIZE, DATA, AFTER_DATA, TRAILER };

struct call {
    int fd; /* 0: not connected */
    enum phase phase;
    const char *key;
    size_t sent;
    long long begun_ns;
    int status;
    bool chunked, closing, wrong, last;
    size_t left, compared, line_bytes, text_bytes;
    int events;
    char line[LINE_BYTES], text[LINE_BYTES]; /* of the framing; of the stream */
};

static struct call *calls;
static struct blob body, expected;
static char before_key[2048], after_key[128];
static char **keys;
static double *shares;
static size_t key_count, next_key;
static int poll_fd, timer_fd;
static struct call **free_calls;
static int free_count, begun, under_way;
static long long waiting[WAITING], first_waiting, last_waiting;
static bool stopped;
static struct tally took, took_lately, first_event, lag;
static long answered, errors, requests, told;
static int opened;

static void read_keys(const char *path)
{
    struct blob text = read_file(path);
    keys = malloc((text.bytes + 1) * sizeof *keys);
    for (char *line = strtok(text.data, "\n"); line; line = strtok(NULL, "\n"))
        keys[key_count++] = line;
    shares = malloc(key_count * sizeof *shares);
    double sum = 0;
    for (size_t i = 0; i < key_count; i++)
        shares[i] = sum += pow(i + 1, -options.zipf);
}

static const char *some_key(void)
{
    static uint64_t seed = 88172645463325252ULL; /* xorshift64: the same keys in each run */
    if (options.once || key_count == 1)
        return keys[next_key++ % key_count];
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    double drawn = (seed >> 11) * 0x1.0p-53 * shares[key_count - 1];
    size_t low = 0, high = key_count - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (shares[middle] < drawn)
            low = middle + 1;
        else
            high = middle;
    }
    return keys[low];
}

static void watch(struct call *call, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = call};
    epoll_ctl(poll_fd, operation, call->fd, &event);
}

static void open_connection(struct call *call)
{
    int one = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(options.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    call->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (call->fd < 0 || connect(call->fd, (struct sockaddr *)&to, sizeof to))
        fail("connect");
    fcntl(call->fd, F_SETFL, O_NONBLOCK);
    setsockopt(call->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    watch(call, EPOLL_CTL_ADD, EPOLLIN);
}

static void send_rest(struct call *call)
{
    const char *parts[] = {before_key, call->key, after_key, body.data};
    size_t sizes[] = {strlen(before_key), strlen(call->key), strlen(after_key), body.bytes}, skipped = call->sent, left = 0;
    struct iovec pieces[4];
    int count = 0;
    for (int i = 0; i < 4; i++) {
        size_t skip = skipped < sizes[i] ? skipped : sizes[i];
        skipped -= skip;
        left += sizes[i] - skip;
        if (sizes[i] > skip)
            pieces[count++] = (struct iovec){(char *)parts[i] + skip, sizes[i] - skip};
    }
    if (!left)
        return;
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
    ssize_t sent = sendmsg(call->fd, &message, MSG_NOSIGNAL);
    if (sent > 0)
        call->sent += sent; /* what fails is seen when the answer is read */
    watch(call, EPOLL_CTL_MOD, (size_t)(sent > 0 ? sent : 0) < left ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void begin(struct call *call, long long begun_ns)
{
    if (!call->fd)
        open_connection(call);
    call->begun_ns = begun_ns;
    call->key = some_key();
    call->phase = HEAD;
    call->sent = call->compared = call->line_bytes = call->text_bytes = call->left = 0;
    call->status = call->events = 0;
    call->chunked = call->closing = call->wrong = call->last = false;
    under_way++;
    send_rest(call);
}

static void rest(struct call *call)
{
    call->phase = FREE;
    if (options.once && next_key == key_count)
        return;
    if (first_waiting < last_waiting)
        begin(call, waiting[first_waiting++ % WAITING]);
    else if (!options.rate && !stopped)
        begin(call, now_ns());
    else
        free_calls[free_count++] = call;
}
