/*
 * Writing the FAT file system that UEFI firmware boots a CD from (formats.md
 * 3.4; Microsoft's FAT specification 1.03): one loader, as
 * EFI/BOOT/BOOTarch.EFI, under the label EFISYS.
 */
#ifndef FAT_H
#define FAT_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "err.h"

/* What El Torito's count of 512-byte sectors can say, in whole ISO sectors. */
#define FAT_BYTES_MAX (65532ull * 512)

/*
 * The name that firmware looks for a loader of its machine by, "BOOTX64.EFI",
 * from the machine that the loader's PE/COFF header names; NULL: that is no
 * loader of an architecture that FreeBSD boots by UEFI.
 */
const char *fat_efi_name(const void *loader, size_t len);

/*
 * A file system with the loader in it, to be freed, in *image: of 2 MiB as on
 * FreeBSD's releases, or as much more as is needed, whole ISO sectors.  Times
 * are now (UTC), serial is its volume id; the same input gives the same bytes.
 * -EINVAL: no loader, see above; -EFBIG: more than FAT_BYTES_MAX.
 */
MUST_CHECK int fat_efi_make(const void *loader, size_t len, time_t now,
    uint32_t serial, uint8_t **image, size_t *size);

#endif
