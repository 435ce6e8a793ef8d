// Drives QEMU's educational device from the user space of a guest: edu-guest DIRECTORY [UIO]
// DIRECTORY is the device's in sysfs, UIO the node of uio_pci_generic for interrupts by the pin; without it, messages are tried.
// Results are lines of KEY value.
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static volatile uint8_t *bar;
static int config;

static void die(const char *what) { printf("FAILED %s\n", what); exit(1); }
static uint32_t rd(uint32_t at) { return *(volatile uint32_t *)(bar + at); }
static void wr(uint32_t at, uint32_t value) { *(volatile uint32_t *)(bar + at) = value; }
static void wr64(uint32_t at, uint64_t value) { *(volatile uint64_t *)(bar + at) = value; }

static uint32_t get(int at, int width)
{
    uint32_t value = 0;
    if (pread(config, &value, width, at) != width) die("read of configuration space");
    return value;
}

static void set(int at, int width, uint32_t value)
{
    if (pwrite(config, &value, width, at) != width) die("write of configuration space");
}

static void await(uint32_t at, uint32_t bit, const char *what)
{
    for (int i = 0; rd(at) & bit; i++) {
        if (i == 10000) die(what);
        usleep(1000);
    }
}

static uint64_t physical(void *page)
{
    uint64_t entry = 0;
    int map = open("/proc/self/pagemap", O_RDONLY);
    if (pread(map, &entry, 8, (uintptr_t)page / 4096 * 8) != 8 || !(entry >> 63)) die("pagemap");
    close(map);
    return (entry & ((1ull << 55) - 1)) * 4096;
}

static void copy(uint64_t from, uint64_t to, uint32_t length, int to_ram)
{
    wr64(0x80, from);
    wr64(0x88, to);
    wr64(0x90, length);
    wr64(0x98, 1 | (to_ram ? 2 : 0));
    await(0x98, 1, "copy");
}

static void dma(void)
{
    uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);
    uint8_t saved[2048];
    if (page == MAP_FAILED) die("page");
    for (int i = 0; i < 4096; i++) page[i] = (uint8_t)(i * 7 + 3);
    memcpy(saved, page, sizeof saved);
    uint64_t at = physical(page);
    copy(at, 0x40000, sizeof saved, 0);
    memset(page, 0, sizeof saved);
    copy(0x40000, at + 2048, sizeof saved, 1);
    printf("DMA %s\n", memcmp(page + 2048, saved, sizeof saved) == 0 && page[0] == 0 ? "right" : "wrong");
}

static void factorial(void)
{
    wr(0x20, 0);
    wr(0x08, 10);
    await(0x20, 1, "factorial");
    printf("FACTORIAL %u\n", rd(0x08));
}

static void pin(const char *node)
{
    int uio = open(node, O_RDWR), taken = 0;
    uint32_t count;
    if (uio < 0) die("uio");
    set(4, 2, get(4, 2) & ~0x400u);
    for (int i = 1; i <= 20; i++) {
        wr(0x60, i);
        struct pollfd ready = { .fd = uio, .events = POLLIN };
        if (poll(&ready, 1, 20000) != 1 || read(uio, &count, 4) != 4) break;
        if (rd(0x24) != (uint32_t)i) break;
        wr(0x64, i);
        set(4, 2, get(4, 2) & ~0x400u);
        taken++;
    }
    printf("PIN %d\n", taken);
}

static long nmis(void)
{
    char line[4096];
    long sum = 0;
    FILE *file = fopen("/proc/interrupts", "r");
    while (file && fgets(line, sizeof line, file)) {
        char *at = strstr(line, "NMI:");
        if (at) for (at += 4; ; ) { char *end; long n = strtol(at, &end, 10); if (end == at) break; sum += n; at = end; }
    }
    fclose(file);
    return sum;
}

// A message whose delivery mode is NMI needs no driver to be counted.
static void message(void)
{
    int at = get(0x34, 1), taken = 0;
    while (at && get(at, 1) != 5) at = get(at + 1, 1);
    if (!at) die("no MSI");
    uint32_t control = get(at + 2, 2);
    set(at + 4, 4, 0xfee00000);
    if (control & 0x80) set(at + 8, 4, 0);
    set(at + (control & 0x80 ? 12 : 8), 2, 0x0400);
    set(at + 2, 2, (control & ~0x70u) | 1);
    for (int i = 1; i <= 20; i++) {
        long before = nmis();
        wr(0x60, i);
        for (int wait = 0; nmis() == before && wait < 2000; wait++) usleep(1000);
        if (nmis() != before + 1) break;
        wr(0x64, i);
        taken++;
    }
    set(at + 2, 2, control & ~1u);
    printf("MESSAGES %d\n", taken);
}

int main(int argc, char **argv)
{
    char path[256];
    if (argc < 2) return 2;
    snprintf(path, sizeof path, "%s/config", argv[1]);
    config = open(path, O_RDWR);
    snprintf(path, sizeof path, "%s/resource0", argv[1]);
    int resource = open(path, O_RDWR);
    if (config < 0 || resource < 0) die("open");
    set(4, 2, get(4, 2) | 6);
    bar = mmap(NULL, 0x100000, PROT_READ | PROT_WRITE, MAP_SHARED, resource, 0);
    if (bar == MAP_FAILED) die("mmap");
    printf("IDENTIFICATION %08x\n", rd(0));
    wr(4, 0x12345678);
    printf("ALIVE %s\n", rd(4) == ~0x12345678u ? "yes" : "no");
    factorial();
    dma();
    if (argc > 2) pin(argv[2]); else message();
    return 0;
}
