// The floor that the network card is held against: the same packets moved between memory and a tap by nothing but system calls, one each or 64 by
// io_uring; and what a managed program cannot do cheaply: a sender of many frames at once, and the time of another thread.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <net/if.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { batch = 64 };

static int ring = -1;
static struct io_uring_params params;
static uint8_t *rings;
static struct io_uring_sqe *entries;

static long clock_of(clockid_t clock)
{
    struct timespec now;
    return clock_gettime(clock, &now) ? -1 : now.tv_sec * 1000000000L + now.tv_nsec;
}

// Nanoseconds that the calling thread has had a processor.
long thread_time(void)
{
    return clock_of(CLOCK_THREAD_CPUTIME_ID);
}

// The same of another thread of this process: the clock's number is made as the C library makes it.
long thread_time_of(int thread)
{
    return clock_of((clockid_t)((~(unsigned)thread << 3) | 6));
}

// 0 or an error number.
int ring_open(void)
{
    memset(&params, 0, sizeof params);
    ring = syscall(SYS_io_uring_setup, batch, &params);
    if (ring < 0)
        return errno;
    size_t length = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
    rings = mmap(0, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
    entries = mmap(0, params.sq_entries * sizeof *entries, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
    if (rings == MAP_FAILED || entries == MAP_FAILED)
        return errno;
    for (unsigned i = 0; i < params.sq_entries; i++)
        ((unsigned *)(rings + params.sq_off.array))[i] = i;
    return 0;
}

void ring_close(void)
{
    if (ring >= 0)
        close(ring);
    ring = -1;
}

// Moves up to `count` packets of two pieces each by one system call; gives how many were moved, or a negative error number.
static long ring_move(int opcode, int fd, struct iovec *vectors, int count)
{
    unsigned tail = *(unsigned *)(rings + params.sq_off.tail);
    unsigned mask = *(unsigned *)(rings + params.sq_off.ring_mask);
    for (int i = 0; i < count; i++, tail++)
    {
        struct io_uring_sqe *entry = entries + (tail & mask);
        memset(entry, 0, sizeof *entry);
        entry->opcode = opcode;
        entry->fd = fd;
        entry->addr = (uintptr_t)(vectors + 2 * i);
        entry->len = 2;
        entry->rw_flags = RWF_NOWAIT;
    }
    __atomic_store_n((unsigned *)(rings + params.sq_off.tail), tail, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, count, count, IORING_ENTER_GETEVENTS, 0, 0) != count)
        return -errno;
    unsigned head = *(unsigned *)(rings + params.cq_off.head);
    unsigned end = __atomic_load_n((unsigned *)(rings + params.cq_off.tail), __ATOMIC_ACQUIRE);
    mask = *(unsigned *)(rings + params.cq_off.ring_mask);
    long moved = 0;
    for (; head != end; head++)
        moved += ((struct io_uring_cqe *)(rings + params.cq_off.cqes))[head & mask].res > 0;
    __atomic_store_n((unsigned *)(rings + params.cq_off.head), head, __ATOMIC_RELEASE);
    return moved;
}

// Sends `count` packets, one system call each or 64 at once; gives how many the kernel took.
long send_packets(int fd, struct iovec *vectors, long count, int by_ring)
{
    long sent = 0;
    for (long i = 0; i < count; i += batch)
        if (by_ring)
            sent += ring_move(IORING_OP_WRITEV, fd, vectors, batch);
        else
            for (int k = 0; k < batch; k++)
                sent += writev(fd, vectors + 2 * k, 2) > 0;
    return sent;
}

// Receives until there is no packet; gives how many there were.
long receive_packets(int fd, struct iovec *vectors, int by_ring)
{
    long received = 0;
    for (;;)
    {
        long one = by_ring ? ring_move(IORING_OP_READV, fd, vectors, batch) : readv(fd, vectors + 2 * (received % batch), 2) > 0;
        if (one <= 0)
            return received;
        received += one;
    }
}

// A socket that puts frames on an interface, behind a header of 10 bytes each; or a negative error number.
int sender_open(const char *interface)
{
    int on = 1, room = 1 << 28;
    struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(interface) };
    int sender = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (sender < 0 || setsockopt(sender, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on)
        || setsockopt(sender, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) || bind(sender, (void *)&address, sizeof address))
        return -errno;
    return sender;
}

// Sends the same frame so many times, at most 1024, by one system call; gives how many the kernel took, or a negative error number.
int send_frames(int socket, void *frame, long length, int count)
{
    static struct mmsghdr messages[1024];
    struct iovec vector = { frame, length };
    for (int i = 0; i < count; i++)
        messages[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &vector, .msg_iovlen = 1 } };
    int sent = sendmmsg(socket, messages, count, 0);
    return sent < 0 ? -errno : sent;
}
