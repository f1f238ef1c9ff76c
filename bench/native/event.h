/* An event of a stream, which the mock sends and the generator checks: when it was sent, and its number. */
#include <stdio.h>
#include <time.h>

#define EVENT_HEAD \
    "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000," \
    "\"model\":\"bench-model\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\""
#define EVENT_MARK "@"
#define EVENT_STAMP EVENT_MARK "%019lld.%05d"
#define EVENT_STAMP_BYTES 26
#define EVENT_TAIL "\"},\"finish_reason\":null}]}"
#define EVENT_LAST "data: [DONE]"

static long long now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}
