/*
 * Gives the queues and interrupts of an nvme controller to its secondary controllers, the virtual functions.
 *
 *   nvme-virt-mgmt DEVICE reset
 *   nvme-virt-mgmt DEVICE CONTROLLER RESOURCE ACTION COUNT
 *
 * RESOURCE: 0 queues, 1 interrupts. ACTION: 1 what the primary keeps, 7 secondary offline, 8 secondary gets COUNT, 9 secondary online
 * (NVM Express, Virtualization Management command).
 */
#include <fcntl.h>
#include <linux/nvme_ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

int main(int argc, char **argv)
{
    int file = argc > 2 ? open(argv[1], O_RDONLY) : -1;
    int status;

    if (file < 0 || (argc != 6 && !(argc == 3 && strcmp(argv[2], "reset") == 0))) {
        perror("nvme-virt-mgmt");
        return 2;
    }

    if (argc == 3) {
        status = ioctl(file, NVME_IOCTL_RESET);
    } else {
        struct nvme_admin_cmd command = {
            .opcode = 0x1c,
            .cdw10 = (unsigned)atoi(argv[2]) << 16 | (unsigned)atoi(argv[3]) << 8 | (unsigned)atoi(argv[4]),
            .cdw11 = (unsigned)atoi(argv[5]),
        };
        status = ioctl(file, NVME_IOCTL_ADMIN_CMD, &command);
    }

    if (status != 0) {
        fprintf(stderr, "%s: status 0x%x\n", argv[1], status);
        perror("nvme-virt-mgmt");
    }

    return status != 0;
}
