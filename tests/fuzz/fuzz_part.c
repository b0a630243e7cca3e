/* Read partition tables; what is found must lie on the device. */
#include "../../imgfmt/part.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct blkdev *dev = fuzz_device(data, size);
	static struct part_table table;

	if (dev == NULL)
		return 0;
	if (part_read(dev, &table) == 0)
		for (unsigned i = 0; i < table.n; i++)
			if (table.part[i].off > size ||
			    table.part[i].len > size - table.part[i].off)
				abort();
	(void)part_find(&table, "p1");
	blkdev_close(dev);
	return 0;
}
