/* A file through one network card in both directions at once.
 *
 *   round-trip serve FILE PORT    sends a quarter of FILE to each connection, which asks for one of the four by its number, and compares what
 *                                 comes back with it; answers S (the same) or D
 *   round-trip fetch HOST PORT    takes the four quarters in four processes, sends back what it takes, and prints how many were the same
 *
 * Large buffers, because system calls are what costs in an emulated machine. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STREAMS = 4, CHUNK = 256 * 1024 };

static char buffer[CHUNK];

static int is_same(int connection, const char *data, size_t size)
{
    size_t sent = 0, received = 0;
    int same = 1;
    while (received < size) {
        struct pollfd poller = { connection, POLLIN | (sent < size ? POLLOUT : 0), 0 };
        if (poll(&poller, 1, -1) < 0)
            return 0;
        if (poller.revents & POLLOUT) {
            ssize_t n = send(connection, data + sent, size - sent < CHUNK ? size - sent : CHUNK, MSG_DONTWAIT);
            if (n > 0)
                sent += n;
        }
        if (poller.revents & (POLLIN | POLLHUP | POLLERR)) {
            ssize_t n = recv(connection, buffer, CHUNK, MSG_DONTWAIT);
            if (n <= 0)
                return 0;
            if ((size_t)n > size - received || memcmp(buffer, data + received, n) != 0)
                same = 0;
            received += n;
        }
    }
    return same && received == size;
}

static int serve(const char *path, int port)
{
    struct stat status;
    int file = open(path, O_RDONLY), yes = 1;
    if (file < 0 || fstat(file, &status) != 0)
        return 1;
    const char *data = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) };
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (data == MAP_FAILED || bind(listener, (struct sockaddr *)&any, sizeof any) != 0 || listen(listener, 16) != 0)
        return 1;
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        if (connection >= 0 && fork() == 0) {
            close(listener);
            size_t quarter = status.st_size / STREAMS;
            unsigned char number;
            if (read(connection, &number, 1) != 1 || number >= STREAMS)
                return 1;
            char answer = is_same(connection, data + number * quarter, quarter) ? 'S' : 'D';
            send(connection, &answer, 1, 0);
            shutdown(connection, SHUT_WR);
            /* What the peer still sends must not turn the end into a reset that overtakes the answer. */
            while (read(connection, buffer, CHUNK) > 0)
                ;
            return 0;
        }
        close(connection);
    }
}

static int fetch_one(const char *host, int port, int number)
{
    struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(port) };
    inet_pton(AF_INET, host, &peer.sin_addr);
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(number % sysconf(_SC_NPROCESSORS_ONLN), &set);
    sched_setaffinity(0, sizeof set, &set);
    unsigned char first = number;
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection, (struct sockaddr *)&peer, sizeof peer) != 0 || write(connection, &first, 1) != 1)
        return 0;
    ssize_t n, last = 0;
    while ((n = read(connection, buffer, CHUNK)) > 0) {
        /* The answer is the last byte: it is alone, because it is sent when everything has come back. */
        last = n == 1 ? buffer[0] : 0;
        for (ssize_t done = 0, m; done < n; done += m)
            if ((m = send(connection, buffer + done, n - done, MSG_NOSIGNAL)) <= 0)
                return last == 'S';
    }
    return last == 'S';
}

int main(int count, char **words)
{
    if (count != 4)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    if (strcmp(words[1], "serve") == 0)
        return serve(words[2], atoi(words[3]));
    int same = 0, status;
    for (int number = 0; number < STREAMS; number++)
        if (fork() == 0)
            _exit(fetch_one(words[2], atoi(words[3]), number) ? 0 : 1);
    while (wait(&status) > 0)
        same += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    printf("%d\n", same);
    return 0;
}
