/* Load: one request over and over on kept-alive connections, each answer compared whole: load NAME=VALUE …
 *
 *   port=N path=P body=FILE keys=FILE   where to, and what; a line of `keys` is a key
 *   connections=64 seconds=4 ramp=0     for how long; what is in the first `ramp` seconds, in which they begin, does not count
 *   rate=0                              calls a second, due whatever answers take; 0: the next when one is answered
 *   zipf=S                              the n-th key is used as 1/n^S; 0: all alike
 *   once=1                              each key once, in order, then the end
 *   expect=FILE                         what each answer has to be; without it any 2xx will do
 *   events=N loose=1                    answers are streams of N events; loose: only their stamps are compared
 *   hold=1                              open all streams and hold them until the end of standard input
 *   every=S                             what each S seconds saw, on a line of its own
 *   header=TEXT                         a further header
 *
 * Writes BEGIN and END around what counts, then waits for the answers under way, and writes RESULT with JSON. One
 * thread; Linux only.
 */
#define _GNU_SOURCE
#include <sys/timerfd.h>

#include "reply.h"

#define SECOND 1000000000LL
#define LAST_ANSWERS (20 * SECOND)

static void set_timer(long long due_ns)
{
    static long long set_ns;
    if (due_ns == set_ns)
        return;
    set_ns = due_ns;
    due_ns = due_ns > 0 ? due_ns : 1;
    struct itimerspec timer = {.it_value = {due_ns / SECOND, due_ns % SECOND}};
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &timer, NULL);
}

static void turn(long long until_ns)
{
    struct epoll_event ready[256];
    set_timer(until_ns);
    int found = epoll_wait(poll_fd, ready, 256, -1);
    for (int i = 0; i < found; i++) {
        struct call *call = ready[i].data.ptr;
        if (!call) {
            uint64_t times;
            (void)!read(timer_fd, &times, sizeof times);
            continue;
        }
        if (call->fd && ready[i].events & EPOLLOUT)
            send_rest(call);
        if (call->fd && ready[i].events & ~EPOLLOUT)
            hear(call);
    }
}

static void due(long long due_ns)
{
    if (free_count)
        begin(free_calls[--free_count], now_ns());
    else if (last_waiting - first_waiting < WAITING)
        waiting[last_waiting++ % WAITING] = due_ns;
    else
        errors++;
}

/* Start what is to start by now, and answer when something is next. */
static long long start_due(long long start_ns, long long until_ns)
{
    static long long made;
    long long now = now_ns();
    double apart_ns = options.rate ? 0 : options.ramp * SECOND / options.connections;
    while (begun < options.connections && now >= start_ns + (long long)(apart_ns * begun))
        rest(&calls[begun++]);
    if (begun < options.connections)
        return start_ns + (long long)(apart_ns * begun);
    if (!options.rate)
        return until_ns;
    for (long long next_ns;; made++)
        if ((next_ns = start_ns + (long long)(made * SECOND / options.rate)) > now)
            return next_ns < until_ns ? next_ns : until_ns;
        else
            due(next_ns);
}

static void tell_lately(long long since_ns)
{
    printf("EVERY {\"seconds\": %.3f, \"requests\": %ld, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"max_ms\": %.4f}\n",
           (now_ns() - since_ns) / 1e9, took_lately.count, tally_ms(&took_lately, .5), tally_ms(&took_lately, .99),
           took_lately.most_ns / 1e6);
    fflush(stdout);
    memset(&took_lately, 0, sizeof took_lately);
}

static void tell(const char *mark)
{
    puts(mark);
    fflush(stdout);
}

static void tell_result(double seconds)
{
    printf("RESULT {\"requests\": %ld, \"seconds\": %.6f, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"p999_ms\": %.4f, \"max_ms\": %.4f, "
           "\"errors\": %ld, \"answered\": %ld, \"events\": %ld, \"event_p50_ms\": %.4f, \"event_p99_ms\": %.4f, "
           "\"first_p50_ms\": %.4f, \"first_p99_ms\": %.4f}\n",
           requests, seconds, tally_ms(&took, .5), tally_ms(&took, .99), tally_ms(&took, .999), took.most_ns / 1e6, errors,
           answered, lag.count, tally_ms(&lag, .5), tally_ms(&lag, .99), tally_ms(&first_event, .5), tally_ms(&first_event, .99));
    fflush(stdout);
}

static void forget_warm_up(void)
{
    requests = 0;
    memset(&took, 0, sizeof took);
    memset(&took_lately, 0, sizeof took_lately);
    memset(&first_event, 0, sizeof first_event);
    memset(&lag, 0, sizeof lag);
}

static void run(void)
{
    long long start_ns = now_ns(), begin_ns = start_ns + options.ramp * SECOND, until_ns = begin_ns + options.seconds * SECOND;
    while (now_ns() < begin_ns)
        turn(start_due(start_ns, begin_ns));
    forget_warm_up();
    tell("BEGIN");
    begin_ns = now_ns();
    long long every_ns = options.every ? options.every * SECOND : 3 * options.seconds * SECOND, lately_ns = begin_ns;
    while (now_ns() < until_ns && !(options.once && next_key == key_count && !under_way)) {
        long long next_ns = lately_ns + every_ns < until_ns ? lately_ns + every_ns : until_ns;
        turn(start_due(start_ns, next_ns));
        if (now_ns() >= lately_ns + every_ns) {
            tell_lately(lately_ns);
            lately_ns += every_ns;
        }
    }
    double seconds = (now_ns() - begin_ns) / 1e9;
    if (now_ns() > lately_ns + every_ns / 2) /* the last interval ends with the run */
        tell_lately(lately_ns);
    stopped = true;
    tell("END");
    for (long long last_ns = now_ns() + LAST_ANSWERS; under_way && now_ns() < last_ns;)
        turn(last_ns);
    errors += under_way + (last_waiting - first_waiting);
    tell_result(seconds);
}

static void hold(void)
{
    long long start_ns = now_ns();
    struct epoll_event event = {.events = EPOLLIN};
    while (opened < options.connections && !errors && now_ns() < start_ns + (options.ramp + 60) * SECOND)
        turn(start_due(start_ns, now_ns() + SECOND / 100));
    tell("BEGIN");
    fcntl(0, F_SETFL, O_NONBLOCK);
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, 0, &event);
    for (char byte; read(0, &byte, 1);) /* 0 is its end */
        turn(now_ns() + SECOND);
    requests = opened;
    errors += options.connections - under_way;
    tell("END");
    tell_result((now_ns() - start_ns) / 1e9);
}

int main(int count, char **words)
{
    for (int i = 1; i < count; i++)
        read_word(words[i]);
    if (!options.port || !options.body || !options.keys) {
        fprintf(stderr, "usage: load port=N body=FILE keys=FILE [NAME=VALUE …]\n");
        return 2;
    }
    body = read_file(options.body);
    if (options.expect)
        expected = read_file(options.expect);
    read_keys(options.keys);
    snprintf(before_key, sizeof before_key,
             "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n%s%sAuthorization: Bearer ",
             options.path, options.port, options.header, *options.header ? "\r\n" : "");
    snprintf(after_key, sizeof after_key, "\r\nContent-Length: %zu\r\n\r\n", body.bytes);
    calls = calloc(options.connections, sizeof *calls);
    free_calls = calloc(options.connections, sizeof *free_calls);
    poll_fd = epoll_create1(0);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event timer = {.events = EPOLLIN};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, timer_fd, &timer);
    (options.hold ? hold : run)();
    return 0;
}
