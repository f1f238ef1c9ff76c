/* The answer to a call: read, compared and counted. */
#include "call.h"

static void mistake(struct call *call, const char *what, const char *data, size_t bytes)
{
    if (!call->wrong && told++ < 3)
        fprintf(stderr, "%s, status %d, event %d: %.*s\n", what, call->status, call->events, (int)(bytes < 400 ? bytes : 400), data);
    call->wrong = true;
}

static void drop(struct call *call)
{
    close(call->fd);
    call->fd = 0;
}

static void end(struct call *call)
{
    long long spent_ns = now_ns() - call->begun_ns;
    if (call->status < 200 || call->status > 299)
        mistake(call, "refused", call->text, call->text_bytes);
    else if (options.events ? call->events != options.events || !call->last : expected.data && call->compared != expected.bytes)
        mistake(call, "cut short", call->text, call->text_bytes);
    under_way--;
    answered += !call->wrong;
    errors += call->wrong;
    if (!stopped || options.rate) { /* what was due in time counts, however late its answer is */
        requests++;
        tally_add(&took, spent_ns);
        tally_add(&took_lately, spent_ns);
    }
    if (call->closing)
        drop(call);
    rest(call);
}

static void take_event(struct call *call, const char *text, size_t bytes)
{
    size_t head = strlen(EVENT_HEAD);
    const char *stamp = options.loose ? memmem(text, bytes, EVENT_MARK, 1) : text + head;
    bool stamped = stamp && text + bytes - stamp >= EVENT_STAMP_BYTES && *stamp == *EVENT_MARK;
    if (stamped && !options.loose)
        stamped = bytes == head + EVENT_STAMP_BYTES + strlen(EVENT_TAIL) && !memcmp(text, EVENT_HEAD, head)
            && !memcmp(stamp + EVENT_STAMP_BYTES, EVENT_TAIL, strlen(EVENT_TAIL));
    if (!stamped || call->last) {
        if (!options.loose)
            mistake(call, "another event", text, bytes);
        return;
    }
    char *after;
    long long sent_ns = strtoll(stamp + 1, &after, 10);
    if (strtol(after + 1, NULL, 10) != call->events)
        mistake(call, "an event out of turn", text, bytes);
    if (!stopped) {
        tally_add(&lag, now_ns() - sent_ns);
        if (!call->events)
            tally_add(&first_event, now_ns() - call->begun_ns);
    }
    opened += !call->events++;
}

static void take_stream_line(struct call *call, const char *text, size_t bytes)
{
    if (!bytes || *text == ':')
        return;
    if (bytes == strlen(EVENT_LAST) && !memcmp(text, EVENT_LAST, bytes))
        call->last = true;
    else
        take_event(call, text, bytes);
}

static void take_stream(struct call *call, const char *data, size_t bytes)
{
    while (bytes) {
        const char *newline = memchr(data, '\n', bytes);
        size_t used = newline ? (size_t)(newline - data) : bytes;
        const char *line = data;
        if (call->text_bytes || !newline) {
            size_t room = LINE_BYTES - call->text_bytes, kept = used < room ? used : room;
            memcpy(call->text + call->text_bytes, data, kept);
            call->text_bytes += kept;
            line = call->text;
        }
        if (!newline)
            return;
        size_t length = line == data ? used : call->text_bytes;
        take_stream_line(call, line, length && line[length - 1] == '\r' ? length - 1 : length);
        call->text_bytes = 0;
        data += used + 1;
        bytes -= used + 1;
    }
}

static void take_body(struct call *call, const char *data, size_t bytes)
{
    if (call->status != 200) {
        size_t room = LINE_BYTES - call->text_bytes, kept = bytes < room ? bytes : room;
        memcpy(call->text + call->text_bytes, data, kept);
        call->text_bytes += kept;
    } else if (options.events) {
        take_stream(call, data, bytes);
    } else if (expected.data) {
        if (call->compared + bytes > expected.bytes || memcmp(expected.data + call->compared, data, bytes))
            mistake(call, "another answer", data, bytes);
        call->compared += bytes;
    }
}

static void take_head_line(struct call *call)
{
    if (!call->status)
        call->status = call->line_bytes > 9 ? atoi(call->line + 9) : -1;
    else if (!strncasecmp(call->line, "content-length:", 15))
        call->left = strtoul(call->line + 15, NULL, 10);
    else if (!strncasecmp(call->line, "transfer-encoding:", 18))
        call->chunked = true;
    else if (!strncasecmp(call->line, "connection:", 11))
        call->closing = strcasestr(call->line, "close") != NULL;
    if (call->line_bytes)
        return;
    call->phase = call->chunked ? SIZE : BODY;
    if (!call->chunked && !call->left)
        end(call);
}

static void take_line(struct call *call)
{
    call->line_bytes -= call->line_bytes && call->line[call->line_bytes - 1] == '\r';
    call->line[call->line_bytes] = 0;
    if (call->phase == HEAD) {
        take_head_line(call);
    } else if (call->phase == SIZE) {
        call->left = strtoul(call->line, NULL, 16);
        call->phase = call->left ? DATA : TRAILER;
    } else if (call->phase == AFTER_DATA) {
        call->phase = SIZE;
    } else if (!call->line_bytes) {
        end(call);
    }
    call->line_bytes = 0;
}

static size_t take_framing(struct call *call, const char *data, size_t bytes)
{
    const char *newline = memchr(data, '\n', bytes);
    size_t used = newline ? (size_t)(newline - data) : bytes, room = LINE_BYTES - 1 - call->line_bytes;
    size_t kept = used < room ? used : room;
    memcpy(call->line + call->line_bytes, data, kept);
    call->line_bytes += kept;
    if (!newline)
        return used;
    take_line(call);
    return used + 1;
}

static size_t take_content(struct call *call, const char *data, size_t bytes)
{
    size_t used = bytes < call->left ? bytes : call->left;
    take_body(call, data, used);
    call->left -= used;
    if (call->left)
        return used;
    if (call->phase == DATA)
        call->phase = AFTER_DATA;
    else
        end(call);
    return used;
}

static void hear(struct call *call)
{
    static char data[262144];
    ssize_t bytes = recv(call->fd, data, sizeof data, 0);
    if (bytes < 0 && errno == EAGAIN)
        return;
    if (bytes <= 0) {
        drop(call);
        if (call->phase != FREE) { /* a connection that ends between two calls is in order */
            mistake(call, "the connection ended", "", 0);
            end(call);
        }
        return;
    }
    for (char *at = data, *stop = data + bytes; at < stop && call->fd;) {
        if (call->phase == FREE) {
            fprintf(stderr, "more than an answer: %.*s\n", (int)(stop - at), at);
            exit(1);
        }
        bool content = call->phase == BODY || call->phase == DATA;
        at += content ? take_content(call, at, stop - at) : take_framing(call, at, stop - at);
    }
}
