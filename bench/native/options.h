/* What the generator is told: words on the command line, and files that they name. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct blob {
    char *data;
    size_t bytes;
};

static struct {
    int port, connections, events;
    double seconds, ramp, rate, zipf, every;
    bool once, loose, hold;
    const char *path, *body, *keys, *expect, *header;
} options = {.connections = 64, .seconds = 4, .path = "/v1/chat/completions", .header = ""};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static struct blob read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END))
        fail(path);
    struct blob blob = {.bytes = ftell(file)};
    blob.data = malloc(blob.bytes + 1);
    rewind(file);
    if (fread(blob.data, 1, blob.bytes, file) != blob.bytes)
        fail(path);
    fclose(file);
    blob.data[blob.bytes] = 0;
    return blob;
}

static void read_word(char *word)
{
    char *value = strchr(word, '=');
    if (!value) {
        fprintf(stderr, "%s is no NAME=VALUE\n", word);
        exit(2);
    }
    *value++ = 0;
#define IS(name) (!strcmp(word, #name))
    if (IS(port)) options.port = atoi(value);
    else if (IS(path)) options.path = value;
    else if (IS(body)) options.body = value;
    else if (IS(keys)) options.keys = value;
    else if (IS(expect)) options.expect = value;
    else if (IS(header)) options.header = value;
    else if (IS(connections)) options.connections = atoi(value);
    else if (IS(events)) options.events = atoi(value);
    else if (IS(seconds)) options.seconds = atof(value);
    else if (IS(ramp)) options.ramp = atof(value);
    else if (IS(rate)) options.rate = atof(value);
    else if (IS(zipf)) options.zipf = atof(value);
    else if (IS(every)) options.every = atof(value);
    else if (IS(once)) options.once = atoi(value);
    else if (IS(loose)) options.loose = atoi(value);
    else if (IS(hold)) options.hold = atoi(value);
    else {
        fprintf(stderr, "%s is not known\n", word);
        exit(2);
    }
#undef IS
}
