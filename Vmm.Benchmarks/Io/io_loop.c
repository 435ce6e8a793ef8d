/* The floor of the disk benchmark: random 4 KiB reads of a file by bare system calls, with nothing before or behind them. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096

static long now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

static uint64_t next(uint64_t *x, uint64_t blocks)
{
    *x = *x * 6364136223846793005u + 1442695040888963407u;
    return (*x >> 33) % blocks * BLOCK;
}

/* Reads one block after the other; returns how many, or a negative errno. */
long pread_loop(int fd, uint64_t blocks, long nanoseconds, long *elapsed, long *cpu)
{
    char *buffer = aligned_alloc(BLOCK, BLOCK);
    uint64_t x = 1;
    long done = 0, start = now(CLOCK_MONOTONIC), used = now(CLOCK_THREAD_CPUTIME_ID);
    while (now(CLOCK_MONOTONIC) - start < nanoseconds) {
        for (int i = 0; i < 16; i++, done++) {
            struct iovec vector = { buffer, BLOCK };
            if (preadv(fd, &vector, 1, next(&x, blocks)) != BLOCK)
                return -errno;
        }
    }
    *cpu = now(CLOCK_THREAD_CPUTIME_ID) - used;
    *elapsed = now(CLOCK_MONOTONIC) - start;
    free(buffer);
    return done;
}

/* Keeps as many reads under way; what has ended is begun anew, all of it with one call that also waits for the next end. */
long uring_loop(int fd, uint64_t blocks, int depth, long nanoseconds, long *elapsed, long *cpu)
{
    struct io_uring_params p = { .flags = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN };
    int ring = syscall(SYS_io_uring_setup, depth, &p);
    if (ring < 0)
        return -errno;
    size_t length = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), size = p.sq_entries * sizeof(struct io_uring_sqe);
    size_t other = p.sq_off.array + p.sq_entries * sizeof(unsigned);
    if (other > length)
        length = other;
    char *rings = mmap(0, length, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *entries = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    if (rings == MAP_FAILED || entries == MAP_FAILED)
        return -errno;
    unsigned *sq_tail = (unsigned *)(rings + p.sq_off.tail), sq_mask = *(unsigned *)(rings + p.sq_off.ring_mask);
    unsigned *array = (unsigned *)(rings + p.sq_off.array);
    unsigned *cq_head = (unsigned *)(rings + p.cq_off.head), *cq_tail = (unsigned *)(rings + p.cq_off.tail);
    unsigned cq_mask = *(unsigned *)(rings + p.cq_off.ring_mask);
    struct io_uring_cqe *ends = (struct io_uring_cqe *)(rings + p.cq_off.cqes);
    char *buffers = aligned_alloc(BLOCK, (size_t)BLOCK * depth);
    int *idle = malloc(sizeof(int) * depth), count = depth, flying = 0, stop = 0;
    for (int i = 0; i < depth; i++)
        idle[i] = i;
    for (unsigned i = 0; i < p.sq_entries; i++)
        array[i] = i;
    uint64_t x = 1;
    long done = 0, result = 0, start = now(CLOCK_MONOTONIC), used = now(CLOCK_THREAD_CPUTIME_ID);
    while (flying > 0 || !stop) {
        unsigned tail = *sq_tail, begun = 0;
        for (; !stop && count > 0; tail++, begun++, flying++) {
            int slot = idle[--count];
            struct io_uring_sqe *entry = &entries[tail & sq_mask];
            memset(entry, 0, sizeof(*entry));
            entry->opcode = IORING_OP_READ;
            entry->fd = fd;
            entry->off = next(&x, blocks);
            entry->addr = (uint64_t)(buffers + (size_t)BLOCK * slot);
            entry->len = BLOCK;
            entry->user_data = slot;
        }
        __atomic_store_n(sq_tail, tail, __ATOMIC_RELEASE);
        if (flying > 0 && syscall(SYS_io_uring_enter, ring, begun, 1, IORING_ENTER_GETEVENTS, 0, 0) < 0 && errno != EINTR)
            return -errno;
        unsigned head = *cq_head;
        for (; head != __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE); head++, done++, flying--) {
            struct io_uring_cqe *end = &ends[head & cq_mask];
            if (end->res != BLOCK)
                result = end->res < 0 ? end->res : -EIO;
            idle[count++] = end->user_data;
        }
        __atomic_store_n(cq_head, head, __ATOMIC_RELEASE);
        stop = result < 0 || now(CLOCK_MONOTONIC) - start >= nanoseconds;
    }
    *cpu = now(CLOCK_THREAD_CPUTIME_ID) - used;
    *elapsed = now(CLOCK_MONOTONIC) - start;
    munmap(rings, length);
    munmap(entries, size);
    close(ring);
    free(buffers);
    free(idle);
    return result < 0 ? result : done;
}
