/* Requests of 4 KiB to a block device, all outstanding at once, past the guest's page cache.
 *
 *   parallel-requests read|write DEVICE COUNT FIRST STRIDE    request n lies at FIRST + n * STRIDE KiB; a write is followed by a flush
 *
 * Prints "MILLISECONDS DONE FAILED ERRNO", ERRNO that of a failed one, the flush included, else 0. Exit status 1 if it could not ask at all. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 4096 };

static long milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int main(int count, char **words)
{
    if (count != 6)
        return 2;
    int writes = strcmp(words[1], "write") == 0, requests = atoi(words[3]), done = 0, failed = 0, error = 0;
    long long first = atoll(words[4]) << 10, stride = atoll(words[5]) << 10;
    int device = open(words[2], (writes ? O_RDWR : O_RDONLY) | O_DIRECT);
    aio_context_t context = 0;
    struct iocb *blocks = calloc(requests, sizeof *blocks), **pointers = calloc(requests, sizeof *pointers);
    struct io_event *events = calloc(requests, sizeof *events);
    char *data = aligned_alloc(SIZE, (size_t)requests * SIZE);
    if (device < 0 || !blocks || !pointers || !events || !data || syscall(SYS_io_setup, requests, &context) != 0) {
        perror(words[2]);
        return 1;
    }
    for (int n = 0; n < requests; n++) {
        memset(data + (size_t)n * SIZE, 'A' + n % 26, SIZE);
        blocks[n] = (struct iocb){ .aio_lio_opcode = writes ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD, .aio_fildes = device,
                                   .aio_buf = (unsigned long)(data + (size_t)n * SIZE), .aio_nbytes = SIZE, .aio_offset = first + n * stride };
        pointers[n] = &blocks[n];
    }
    long begin = milliseconds();
    for (int asked = 0; asked < requests;) {
        long taken = syscall(SYS_io_submit, context, requests - asked, pointers + asked);
        if (taken <= 0) {
            perror("io_submit");
            return 1;
        }
        asked += taken;
    }
    if (syscall(SYS_io_getevents, context, requests, requests, events, NULL) != requests) {
        perror("io_getevents");
        return 1;
    }
    for (int n = 0; n < requests; n++) {
        if (events[n].res == SIZE)
            done++;
        else {
            failed++;
            error = (long long)events[n].res < 0 ? -(int)events[n].res : EIO;
        }
    }
    if (writes && fdatasync(device) != 0)
        error = errno;
    printf("%ld %d %d %d\n", milliseconds() - begin, done, failed, error);
    return 0;
}
