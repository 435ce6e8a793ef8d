// Moves a counter of QEMU's test device from the user space of a guest: testdev-guest DIRECTORY
#include <unistd.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

int main(int argc, char **argv)
{
    char path[256];
    if (argc < 2) return 2;
    snprintf(path, sizeof path, "%s/config", argv[1]);
    int config = open(path, O_RDWR);
    uint16_t command = 7;
    if (pwrite(config, &command, 2, 4) != 2) return 1;
    snprintf(path, sizeof path, "%s/resource0", argv[1]);
    volatile uint8_t *bar = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, open(path, O_RDWR), 0);
    if (bar == MAP_FAILED) return 1;
    bar[0] = 0;
    uint32_t offset = *(volatile uint32_t *)(bar + 4), data = *(volatile uint32_t *)(bar + 8), before = *(volatile uint32_t *)(bar + 12);
    for (int i = 0; i < 5; i++) {
        switch (bar[1]) {
        case 1: bar[offset] = (uint8_t)data; break;
        case 2: *(volatile uint16_t *)(bar + offset) = (uint16_t)data; break;
        default: *(volatile uint32_t *)(bar + offset) = data; break;
        }
    }
    printf("COUNTED %u\n", *(volatile uint32_t *)(bar + 12) - before);
    return 0;
}
