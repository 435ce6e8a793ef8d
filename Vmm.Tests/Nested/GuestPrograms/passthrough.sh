# What guests do with the devices that PassthroughRuns gives them; sourced by their scripts. Results are lines of KEY value.

# The device of a vendor and device ID, as a directory of sysfs.
dev() { for d in /sys/bus/pci/devices/*; do [ "$(cat $d/vendor):$(cat $d/device)" = "0x$1" ] && echo $d; done; }

wait_for() { for i in $(seq 200); do eval "$1" 2>/dev/null && return; sleep 0.1; done; echo "MISSED $1"; }

# The block device of a passed one, by its name here.
node() {
    case $1 in
        nvme) echo nvme0n1 ;;
        sata) basename /sys/block/sd? ;;
        virtio) for b in /sys/block/vd?; do [ "$(cat $b/serial)" = hand ] || basename $b; done ;;
        hand) for b in /sys/block/vd?; do [ "$(cat $b/serial)" = hand ] && basename $b; done ;;
    esac
}

# Once: asking disks for their serial is a request, and an interrupt, to each.
find_hand() { [ -n "$hand" ] || hand=$(node hand); }

# Has the lab look at the machine at this point, and waits until it has: it answers on a disk of vmm's own.
lab() {
    find_hand
    echo "AT $1"
    until [ "$(dd if=/dev/$hand bs=512 count=1 iflag=direct 2>/dev/null | tr -d '\0')" = "$1" ]; do sleep 0.1; done
}

# No piece is larger than any of the disks takes as one request. So one request is under way at a time, and its message never merges with
# another that is still pending: what both sides count can be compared.
disk() {
    wait_for "[ -b /dev/\$(node $1) ]"
    n=$(node $1)
    echo "SUM-$1 $(dd if=/dev/$n bs=64k count=32 iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1)"
    dd if=/dev/urandom of=/tmp/$1 bs=64k count=8 2>/dev/null
    dd if=/tmp/$1 of=/dev/$n bs=64k seek=128 oflag=direct conv=notrunc,fsync 2>/dev/null
    dd if=/dev/$n bs=64k skip=128 count=8 iflag=direct 2>/dev/null | cmp - /tmp/$1 && echo "KEPT-$1 yes"
}

nic() { for n in /sys/class/net/*; do [ "$(basename $(readlink $n/device/driver) 2>/dev/null)" = $1 ] && basename $n; done; }

up() {
    wait_for "[ -n \"\$(nic $1)\" ]"
    ip link set $(nic $1) up
    wait_for "[ \"\$(cat /sys/class/net/\$(nic $1)/carrier)\" = 1 ]"
    echo "LINK-$1 $(cat /sys/class/net/$(nic $1)/carrier)"
}

card() {
    up $1
    ip addr add $2.15/24 dev $(nic $1)
    echo "PING-$1 $(ping -c 3 -i 0.2 -W 10 -I $(nic $1) $2.2 | awk '/packets transmitted/ { print $4 }')"
    ip addr del $2.15/24 dev $(nic $1)
}

educational() {
    echo 0 >/proc/sys/kernel/printk          # the NMIs that it counts are reported, in the middle of our lines
    d=$(dev 1234:0x11e8)
    [ -e /sys/bus/pci/drivers/uio_pci_generic/$(basename $d) ] || echo 1234 11e8 >/sys/bus/pci/drivers/uio_pci_generic/new_id
    edu-guest $d /dev/uio0
    basename $d >/sys/bus/pci/drivers/uio_pci_generic/unbind
    [ "$1" = pin ] || edu-guest $d
}

testdev() { testdev-guest $(dev 1b36:0x0005); }
codec() { wait_for "[ -e /sys/bus/hdaudio/devices/hdaudioC0D0 ]"; echo "CODEC $(ls /sys/bus/hdaudio/devices | grep -c hdaudioC0D0)"; }
keyboard() { wait_for "grep -q Keyboard /sys/bus/usb/devices/*/product"; echo "KEYBOARD $(cat /sys/bus/usb/devices/*/product | grep -c Keyboard)"; }

# Interrupts that the guest has counted for a device, by messages or by its pin.
count() {
    irqs=$(ls $1/msi_irqs 2>/dev/null || cat $1/irq)
    for i in $irqs; do grep "^ *$i:" /proc/interrupts; done | awk '{ n += $2 } END { print n + 0 }'
}

counts() {
    find_hand
    [ -n "$passed" ] || passed=$(node virtio)
    sync; sleep 0.5                          # what is on its way arrives before either side counts
    echo "COUNT-$1-nvme $(count $(dev 1b36:0x0010))"
    echo "COUNT-$1-sata $(count $(dev 8086:0x2922))"
    echo "COUNT-$1-virtio $(count $(readlink -f /sys/block/$passed/device/..))"
    echo "COUNT-$1-rtl8139 $(count $(dev 10ec:0x8139))"
}

everything() { disk nvme; disk sata; disk virtio; card e1000e 10.0.2; card 8139cp 10.0.3; keyboard; codec; }

# Everything of one device alone.
alone() {
    case $1 in
        nvme | sata | virtio) disk $1 ;;
        e1000e) card e1000e 10.0.2 ;;
        rtl8139) card 8139cp 10.0.3 ;;
        edu) educational ;;
        xhci) keyboard ;;
        hda) codec ;;
        testdev) testdev ;;
    esac
}

# Reads and writes all three disks until something ends the guest.
busy() {
    for n in nvme sata virtio; do
        wait_for "[ -b /dev/\$(node $n) ]"
        while :; do
            dd if=/dev/$(node $n) of=/dev/null bs=64k count=16 iflag=direct 2>/dev/null
            dd if=/dev/zero of=/dev/$(node $n) bs=64k seek=200 count=16 oflag=direct conv=notrunc 2>/dev/null
        done &
    done
}

# Takes every device from its driver and gives it back, some times. vmm's own disk stays.
rebind() {
    for round in $(seq $1); do
        for driver in nvme e1000e xhci_hcd ahci 8139cp snd_hda_intel virtio-pci; do
            for d in /sys/bus/pci/drivers/$driver/0000:*; do
                d=$(basename $d)
                ls /sys/bus/pci/devices/$d/virtio*/block/$(node hand) >/dev/null 2>&1 && continue
                echo $d >/sys/bus/pci/drivers/$driver/unbind
                echo $d >/sys/bus/pci/drivers/$driver/bind || echo "NOT-BOUND $driver"
            done
        done
        wait_for "[ -b /dev/nvme0n1 ]"
        echo "REBOUND $round"
    done
}

# e1000e with its pin (0) or several messages (2). One message (1) does not work with the one of QEMU 7.2: its driver finds that out on the lab, too.
mode() {
    rmmod e1000e
    insmod /lib/modules/e1000e.ko IntMode=$1
    up e1000e
    ip addr add 10.0.2.15/24 dev $(nic e1000e)
    echo "MODE-$1 $(ping -c 2 -i 0.2 -W 10 -I $(nic e1000e) 10.0.2.2 | awk '/packets transmitted/ { print $4 }') $(grep -c "$(nic e1000e)" /proc/interrupts) $(grep "$(nic e1000e)" /proc/interrupts | grep -c PCI-MSI)"
    ip link set $(nic e1000e) down
}
