/* How often something took how long, to one part in 128, whatever the number of calls. */
#include <string.h>

#define TALLY_BITS 7
#define TALLY_SLOTS (58 << TALLY_BITS)

struct tally {
    long count, slots[TALLY_SLOTS];
    long long most_ns;
};

static void tally_add(struct tally *tally, long long ns)
{
    ns = ns > 0 ? ns : 1;
    int exponent = 63 - __builtin_clzll(ns) - TALLY_BITS;
    tally->slots[exponent < 0 ? ns : ((exponent + 1) << TALLY_BITS) + ((ns >> exponent) & ((1 << TALLY_BITS) - 1))]++;
    tally->count++;
    tally->most_ns = ns > tally->most_ns ? ns : tally->most_ns;
}

/* Milliseconds within which `share` of them were. */
static double tally_ms(const struct tally *tally, double share)
{
    long left = tally->count * share;
    for (int slot = 0; slot < TALLY_SLOTS; slot++)
        if ((left -= tally->slots[slot]) < 0) {
            int exponent = (slot >> TALLY_BITS) - 1;
            long long mantissa = slot & ((1 << TALLY_BITS) - 1);
            return (exponent < 0 ? mantissa : (mantissa + (1 << TALLY_BITS)) << exponent) / 1e6;
        }
    return tally->most_ns / 1e6;
}
