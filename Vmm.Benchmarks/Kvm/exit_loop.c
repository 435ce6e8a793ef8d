/* The floor of the exit benchmark: the same KVM_RUNs as our run loop makes, the same device, nothing else. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

/* Nanoseconds that the calling thread has had a processor. */
long thread_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000L + now.tv_nsec;
}

/* Serves this many 4-byte reads of 16 registers; returns 0, or the errno or exit reason that got in the way. */
long exit_loop(int vcpu, struct kvm_run *run, long exits, const uint32_t *registers)
{
    while (exits > 0) {
        if (ioctl(vcpu, KVM_RUN, 0) < 0) {
            if (errno == EINTR || errno == EAGAIN)
                continue;
            return errno;
        }
        switch (run->exit_reason) {
        case KVM_EXIT_MMIO:
            if (!run->mmio.is_write && run->mmio.len == 4)
                memcpy(run->mmio.data, &registers[(run->mmio.phys_addr >> 2) & 15], 4);
            exits--;
            break;
        default:
            return -(long)run->exit_reason;
        }
    }
    return 0;
}

/* The same, with the nanoseconds between two exits written down. */
long exit_intervals(int vcpu, struct kvm_run *run, long exits, const uint32_t *registers, uint32_t *intervals)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long before = now.tv_sec * 1000000000L + now.tv_nsec;
    for (long i = 0; i < exits; i++) {
        long result = exit_loop(vcpu, run, 1, registers);
        if (result != 0)
            return result;
        clock_gettime(CLOCK_MONOTONIC, &now);
        long after = now.tv_sec * 1000000000L + now.tv_nsec;
        intervals[i] = (uint32_t)(after - before);
        before = after;
    }
    return 0;
}
