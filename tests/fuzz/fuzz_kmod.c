/* Read the metadata of whatever claims to be a kernel module. */
#include "../../mkimage/kmod.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *image = malloc(size > 0 ? size : 1);
	struct kmod kmod;

	if (image == NULL)
		return 0;
	memcpy(image, data, size);
	(void)!kmod_read(image, size, &kmod);
	kmod_release(&kmod);
	free(image);
	return 0;
}
