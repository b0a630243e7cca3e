#!/usr/bin/env python3
"""Make an ISO boot from USB too, as FreeBSD's releases do (formats.md 3.5).

usage: hybrid.py ISO PMBR ISOBOOT

What `mkimg -s gpt -b PMBR -p freebsd-boot:=ISOBOOT -p efi::SIZE:OFFSET` makes
goes over the ISO's system area.  The EFI image is where El Torito says.
"""
import struct
import sys
import uuid
import zlib

BOOT = uuid.UUID('83bd6b9d-7f41-11dc-be0b-001560b84f0f')
EFI = uuid.UUID('c12a7328-f81f-11d2-ba4b-00a0c93ec93b')
ENTRIES, FIRST = 128, 34


def entry(kind, first, sectors, name):
    own = uuid.uuid5(kind, name)
    return struct.pack('<16s16sQQQ72s', kind.bytes_le, own.bytes_le, first,
                       first + sectors - 1, 0, name.encode('utf-16le'))


def efi_image(iso):
    """First sector and sectors of the UEFI entry in the boot catalogue."""
    at = struct.unpack_from('<I', iso, 17 * 2048 + 0x47)[0] * 2048
    for section in range(at + 64, at + 2048, 64):
        if iso[section + 1] == 0xef:
            size, lba = struct.unpack_from('<HI', iso, section + 32 + 6)
            return lba * 4, size
    sys.exit('no UEFI entry')


def main():
    path, pmbr, isoboot = sys.argv[1:]
    with open(path, 'rb') as f:
        iso = f.read()
    with open(pmbr, 'rb') as f:
        code = f.read(440)
    with open(isoboot, 'rb') as f:
        boot = f.read()
    sectors = len(iso) // 512
    entries = entry(BOOT, FIRST, (len(boot) + 511) // 512, 'bootfs')
    entries += entry(EFI, *efi_image(iso), 'efiboot')
    entries = entries.ljust(ENTRIES * 128, b'\0')

    def header(crc):
        return struct.pack('<8sIIIIQQQQ16sQIII', b'EFI PART', 0x10000, 92, crc,
                           0, 1, sectors - 1, FIRST, sectors - 2,
                           uuid.uuid5(BOOT, 'disk').bytes_le, 2, ENTRIES, 128,
                           zlib.crc32(entries))

    mbr = code.ljust(446, b'\0')
    mbr += struct.pack('<B3sB3sII', 0, b'\0\2\0', 0xee, b'\xff\xff\xff', 1,
                       sectors - 1)
    mbr = mbr.ljust(510, b'\0') + b'\x55\xaa'
    head = mbr + header(zlib.crc32(header(0))).ljust(512, b'\0')
    head += entries + boot
    if len(head) > 32768:
        sys.exit('the boot code does not fit')
    with open(path, 'r+b') as f:
        f.write(head)


if __name__ == '__main__':
    main()
