# What the lab does around the guests of PassthroughRuns; sourced there. Results are lines of KEY value.

# Notes from now on each memory slot that KVM is given.
watch_slots()
{
    tracing=/sys/kernel/tracing
    mountpoint -q $tracing || mount -t tracefs tracefs $tracing
    [[ ! -e $tracing/events/kprobes/slots ]] || echo 0 >$tracing/events/kprobes/slots/enable
    echo 'p:slots __kvm_set_memory_region slot=+0($arg2):u32 size=+16($arg2):u64' >$tracing/kprobe_events
    : >$tracing/trace
    echo 1 >$tracing/events/kprobes/slots/enable
}

# How many slots there are.
slots() { awk 'match($0, /slot=[0-9]+/) { s = substr($0, RSTART, RLENGTH); match($0, /size=[0-9]+/); size[s] = substr($0, RSTART + 5, RLENGTH - 5) } END { for (s in size) n += size[s] > 0; print n + 0 }' /sys/kernel/tracing/trace; }

# Interrupts that the lab has counted for a device.
count() { grep "vfio-.*($1)" /proc/interrupts | awk '{ for (i = 2; $i ~ /^[0-9]+$/; i++) n += $i } END { print n + 0 }'; }

look()
{
    set -- "$1" $LAB_VFIO
    echo "IRQS-$1 $(grep -c 'vfio-' /proc/interrupts)"
    echo "EVENTFDS-$1 $(ls -l /proc/$pid/fd | grep -c eventfd)"
    echo "DESCRIPTORS-$1 $(ls /proc/$pid/fd | wc -l)"
    echo "SLOTS-$1 $(slots)"
    echo "COUNT-$1-nvme $(count $2)"
    echo "COUNT-$1-sata $(count $6)"
    echo "COUNT-$1-rtl8139 $(count $7)"
    echo "COUNT-$1-virtio $(count ${10})"
}

# Looks whenever the guest asks, until the run ends.
serve()
{
    local at='' seen=''
    while kill -0 "$pid" 2>/dev/null; do
        at=$(grep -ao '^AT [A-Z0-9-]*' console 2>/dev/null | tail -n 1)
        at=${at#AT }
        if [[ -n $at && $at != "$seen" ]]; then
            look "$at"
            printf %s "$at" | dd of=hand bs=512 conv=notrunc,sync 2>/dev/null
            seen=$at
        fi
        sleep 0.2
    done
}

# Ends the run by a signal once the guest is at work.
strike()
{
    until grep -aq '^AT BUSY' console 2>/dev/null || ! kill -0 "$pid"; do sleep 0.2; done
    sleep 1
    local begin=${EPOCHREALTIME/./}
    kill "$1" "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
    echo "ENDED $(( (${EPOCHREALTIME/./} - begin) / 1000 )) ms"
}

# host_driver NAME MODULES ADDRESS: the lab's own driver takes a disk or a card, reads it or has its link up, and gives it back to vfio-pci.
host_driver()
{
    local sysfs=/sys/bus/pci/devices/$3 node='' entry
    [[ -z $2 ]] || modprobe -d "$(dirname "$KERNEL")" -a $2
    echo "$3" >$sysfs/driver/unbind
    echo >$sysfs/driver_override
    echo "$3" >/sys/bus/pci/drivers_probe
    for _ in {1..100}; do
        for entry in /sys/block/* /sys/class/net/*; do [[ $(readlink -f "$entry") != "$(readlink -f $sysfs)"/* ]] || node=${entry##*/}; done
        [[ -z $node ]] || break
        sleep 0.1
    done
    if [[ -b /dev/$node ]]; then
        echo "HOST-$1 $(dd if="/dev/$node" bs=64k count=32 iflag=direct 2>/dev/null | sha256sum | cut -d' ' -f1)"
    else
        ip link set "$node" up
        for _ in {1..100}; do [[ $(<"/sys/class/net/$node/carrier") != 1 ]] || break; sleep 0.1; done
        echo "HOST-$1 $(<"/sys/class/net/$node/carrier")"
    fi
    echo "$3" >$sysfs/driver/unbind
    echo vfio-pci >$sysfs/driver_override
    echo "$3" >/sys/bus/pci/drivers_probe
}
