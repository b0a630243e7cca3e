/*
 * The section set_modmetadata_set is an array of pointers to
 *
 *	struct mod_metadata { int version, type; void *data; char *cval; }
 *
 * (sys/module.h); cval names a module, data leads to its version, or to the
 * versions that are wanted of it.  What a pointer leads to depends on how the
 * file is linked.  In a relocatable one, as amd64's modules are, it is zero
 * and a relocation names a section or symbol; in a linked one it is an
 * address, of which a relocation may know more: the kernel loads modules
 * anywhere, as shared objects.  Both become a place, a section and an offset
 * in it.
 *
 * Everything in the file is untrusted: libelf checks that sections lie within
 * it, a place is checked whenever it is read, and no loop follows pointers.
 */
#include "kmod.h"

#include <gelf.h>
#include <libelf.h>
#include <string.h>

#include "../imgfmt/bytes.h"

enum {
	METADATA = 8,        /* bytes in front of the two pointers */
	RECORDS_MAX = 16384, /* a kernel has some 1500 */
};

/* A relocation of a pointer. */
struct fixup {
	size_t section; /* that it changes; 0 in linked files: off tells */
	uint64_t off;
	size_t symbols; /* section of the symbol table */
	size_t symbol;
	uint32_t type;
	bool has_addend; /* else it is what the pointer holds */
	int64_t addend;
};

struct reading {
	Elf *elf;
	bool linked, wide, big;
	uint32_t absolute, relative; /* types of relocations; 0: none known */
	struct fixup *fixups;        /* by section and offset */
	size_t nfixups, room;
	struct kmod *out;
};

struct place {
	Elf_Scn *section;
	uint64_t off;
};

/* Relocations that fill a pointer: the machines' own ELF supplements. */
static const struct {
	uint16_t machine;
	uint32_t absolute, relative;
} machines[] = {
    {EM_386, R_386_32, R_386_RELATIVE},
    {EM_X86_64, R_X86_64_64, R_X86_64_RELATIVE},
    {EM_ARM, R_ARM_ABS32, R_ARM_RELATIVE},
    {EM_AARCH64, R_AARCH64_ABS64, R_AARCH64_RELATIVE},
    {EM_PPC, R_PPC_ADDR32, R_PPC_RELATIVE},
    {EM_PPC64, R_PPC64_ADDR64, R_PPC64_RELATIVE},
    {EM_RISCV, R_RISCV_64, R_RISCV_RELATIVE},
};

static void
elfp(Elf **elf)
{
	(void)elf_end(*elf);
}

/* -- relocations ----------------------------------------------------------- */

static int
by_place(const void *a, const void *b)
{
	const struct fixup *x = a, *y = b;

	if (x->section != y->section)
		return x->section < y->section ? -1 : 1;
	return (x->off > y->off) - (x->off < y->off);
}

static int
add_fixup(struct reading *r, const struct fixup *f)
{
	if (r->nfixups == r->room) {
		size_t room = r->room > 0 ? 2 * r->room : 256;
		struct fixup *more = realloc(r->fixups, room * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		r->fixups = more;
		r->room = room;
	}
	r->fixups[r->nfixups++] = *f;
	return 0;
}

/* The n-th relocation of a section; false: it is none that fills a pointer. */
static bool
fixup_at(const struct reading *r, const GElf_Shdr *header, Elf_Data *data,
    int n, struct fixup *out)
{
	GElf_Rela with;
	GElf_Rel without;
	uint64_t info;

	if (header->sh_type == SHT_RELA) {
		if (gelf_getrela(data, n, &with) == NULL)
			return false;
		info = with.r_info;
		out->off = with.r_offset;
		out->addend = with.r_addend;
	} else {
		if (gelf_getrel(data, n, &without) == NULL)
			return false;
		info = without.r_info;
		out->off = without.r_offset;
		out->addend = 0;
	}
	out->has_addend = header->sh_type == SHT_RELA;
	out->section = r->linked ? 0 : header->sh_info;
	out->symbols = header->sh_link;
	out->symbol = GELF_R_SYM(info);
	out->type = (uint32_t)GELF_R_TYPE(info);
	return out->type == r->absolute || out->type == r->relative;
}

/* Whether relocations of the section may concern data. */
static bool
is_of_data(const struct reading *r, const GElf_Shdr *header)
{
	GElf_Shdr target;

	if (header->sh_type != SHT_RELA && header->sh_type != SHT_REL)
		return false;
	if (r->linked)
		return (header->sh_flags & SHF_ALLOC) != 0;
	return gelf_getshdr(elf_getscn(r->elf, header->sh_info), &target) !=
	    NULL &&
	    (target.sh_flags & SHF_ALLOC) != 0 &&
	    (target.sh_flags & SHF_EXECINSTR) == 0;
}

/* Add those of one section. */
static int
collect_from(struct reading *r, Elf_Scn *section, const GElf_Shdr *header)
{
	Elf_Type type = header->sh_type == SHT_RELA ? ELF_T_RELA : ELF_T_REL;
	size_t each = gelf_fsize(r->elf, type, 1, EV_CURRENT);
	Elf_Data *data = elf_getdata(section, NULL);
	int rc = 0;

	if (data == NULL || each == 0 || data->d_size / each > INT32_MAX)
		return -ECORRUPT;
	for (size_t i = 0; i < data->d_size / each && rc == 0; i++) {
		struct fixup f;

		if (fixup_at(r, header, data, (int)i, &f))
			rc = add_fixup(r, &f);
	}
	return rc;
}

static int
collect_fixups(struct reading *r)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	int rc = 0;

	while (rc == 0 && (section = elf_nextscn(r->elf, section)) != NULL)
		if (gelf_getshdr(section, &header) != NULL &&
		    is_of_data(r, &header))
			rc = collect_from(r, section, &header);
	if (r->nfixups > 1)
		qsort(r->fixups, r->nfixups, sizeof(*r->fixups), by_place);
	return rc;
}

/* -- places ---------------------------------------------------------------- */

/* len bytes at the place, as they are in the file; NULL: there are not. */
static const uint8_t *
bytes_at(const struct place *at, size_t len)
{
	Elf_Data *data = elf_rawdata(at->section, NULL);

	if (data == NULL || data->d_buf == NULL || at->off > data->d_size ||
	    len > data->d_size - at->off)
		return NULL;
	return (const uint8_t *)data->d_buf + at->off;
}

static uint32_t
int_of(const struct reading *r, const uint8_t *p)
{
	raw32 raw;

	memcpy(&raw, p, sizeof(raw));
	return raw32_get(raw, r->big);
}

static uint64_t
pointer_of(const struct reading *r, const uint8_t *p)
{
	raw64 raw;

	if (!r->wide)
		return int_of(r, p);
	memcpy(&raw, p, sizeof(raw));
	return raw64_get(raw, r->big);
}

/* The section of a linked file that is loaded at addr. */
static int
place_of_address(const struct reading *r, uint64_t addr, struct place *out)
{
	Elf_Scn *section = NULL;
	GElf_Shdr h;

	while ((section = elf_nextscn(r->elf, section)) != NULL)
		if (gelf_getshdr(section, &h) != NULL &&
		    (h.sh_flags & SHF_ALLOC) != 0 &&
		    (h.sh_flags & SHF_TLS) == 0 && addr >= h.sh_addr &&
		    addr - h.sh_addr < h.sh_size) {
			*out = (struct place){section, addr - h.sh_addr};
			return 0;
		}
	return -ECORRUPT;
}

/* Where a symbol of f's table lies, addend bytes on. */
static int
place_of_symbol(const struct reading *r, const struct fixup *f, uint64_t addend,
    struct place *out)
{
	Elf_Data *table = elf_getdata(elf_getscn(r->elf, f->symbols), NULL);
	GElf_Sym symbol;

	if (table == NULL || f->symbol > INT32_MAX ||
	    gelf_getsym(table, (int)f->symbol, &symbol) == NULL ||
	    symbol.st_shndx == SHN_UNDEF)
		return -ECORRUPT;
	if (r->linked)
		return place_of_address(r, symbol.st_value + addend, out);
	*out = (struct place){
	    elf_getscn(r->elf, symbol.st_shndx), symbol.st_value + addend};
	return out->section == NULL ? -ECORRUPT : 0;
}

static const struct fixup *
find_fixup(const struct reading *r, const struct place *at)
{
	struct fixup key = {.off = at->off};
	GElf_Shdr header;

	if (r->nfixups == 0)
		return NULL;
	if (!r->linked)
		key.section = elf_ndxscn(at->section);
	else if (gelf_getshdr(at->section, &header) != NULL)
		key.off += header.sh_addr;
	return bsearch(
	    &key, r->fixups, r->nfixups, sizeof(*r->fixups), by_place);
}

/* Where the pointer at a place leads. */
static int
follow(const struct reading *r, const struct place *at, struct place *out)
{
	const uint8_t *p = bytes_at(at, r->wide ? 8 : 4);
	const struct fixup *f;
	uint64_t value;

	if (p == NULL)
		return -ECORRUPT;
	value = pointer_of(r, p);
	f = find_fixup(r, at);
	if (f == NULL)
		return r->linked ? place_of_address(r, value, out) : -ECORRUPT;
	if (f->has_addend)
		value = (uint64_t)f->addend;
	if (f->type == r->relative)
		return place_of_address(r, value, out);
	return place_of_symbol(r, f, value, out);
}

/* -- records --------------------------------------------------------------- */

static int
add_record(struct kmod *k, const struct kmod_record *record)
{
	if (k->n == k->room) {
		size_t room = k->room > 0 ? 2 * k->room : 8;
		struct kmod_record *more =
		    realloc(k->records, room * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		k->records = more;
		k->room = room;
	}
	k->records[k->n++] = *record;
	return 0;
}

/* A copy of the text at a place. */
static int
name_at(const struct place *at, char **out)
{
	size_t len = 0;
	const uint8_t *p = bytes_at(at, 1);
	Elf_Data *data = p != NULL ? elf_rawdata(at->section, NULL) : NULL;

	if (data == NULL)
		return -ECORRUPT;
	len = data->d_size - (size_t)at->off;
	if (len > KMOD_NAME_MAX + 1)
		len = KMOD_NAME_MAX + 1;
	if (memchr(p, '\0', len) == NULL)
		return -ECORRUPT;
	*out = strdup((const char *)p);
	return *out == NULL ? -ENOMEM : 0;
}

/* The versions that the data of a record tells. */
static int
read_versions(const struct reading *r, const struct place *pointer,
    struct kmod_record *record)
{
	size_t n = record->kind == KMOD_DEPEND ? 3 : 1;
	struct place data;
	const uint8_t *p;
	int rc = follow(r, pointer, &data);

	if (rc < 0)
		return rc;
	p = bytes_at(&data, 4 * n);
	if (p == NULL)
		return -ECORRUPT;
	record->least = (int32_t)int_of(r, p);
	record->preferred = (int32_t)int_of(r, n > 1 ? p + 4 : p);
	record->most = (int32_t)int_of(r, p + 4 * (n - 1));
	return 0;
}

/* The record that the pointer at a place leads to. */
static int
read_record(struct reading *r, const struct place *pointer)
{
	size_t width = r->wide ? 8 : 4;
	struct kmod_record record = {0};
	struct place at, data, cval, name;
	const uint8_t *p;
	int rc = follow(r, pointer, &at);

	if (rc < 0)
		return rc;
	p = bytes_at(&at, METADATA + 2 * width);
	if (p == NULL)
		return -ECORRUPT;
	record.kind = (enum kmod_kind)int_of(r, p + 4);
	if (record.kind < KMOD_DEPEND || record.kind > KMOD_VERSION)
		return 0; /* plug and play information, or new */
	data = (struct place){at.section, at.off + METADATA};
	cval = (struct place){at.section, at.off + METADATA + width};
	if (record.kind != KMOD_MODULE)
		rc = read_versions(r, &data, &record);
	if (rc == 0)
		rc = follow(r, &cval, &name);
	if (rc == 0)
		rc = name_at(&name, &record.name);
	if (rc == 0)
		rc = add_record(r->out, &record);
	if (rc < 0)
		free(record.name);
	return rc;
}

/* -- the file -------------------------------------------------------------- */

static Elf_Scn *
find_set(Elf *elf)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	size_t names;

	if (elf_getshdrstrndx(elf, &names) != 0)
		return NULL;
	while ((section = elf_nextscn(elf, section)) != NULL) {
		const char *name = gelf_getshdr(section, &header) != NULL
		    ? elf_strptr(elf, names, header.sh_name)
		    : NULL;

		if (name != NULL && strcmp(name, "set_modmetadata_set") == 0)
			return section;
	}
	return NULL;
}

/* How the file is linked, and for what. */
static int
read_header(struct reading *r)
{
	GElf_Ehdr header;

	if (gelf_getehdr(r->elf, &header) == NULL)
		return -ECORRUPT;
	r->linked = header.e_type != ET_REL;
	r->wide = header.e_ident[EI_CLASS] == ELFCLASS64;
	r->big = header.e_ident[EI_DATA] == ELFDATA2MSB;
	for (size_t i = 0; i < sizeof(machines) / sizeof(*machines); i++)
		if (machines[i].machine == header.e_machine) {
			r->absolute = machines[i].absolute;
			r->relative = machines[i].relative;
			return 0;
		}
	return -EOPNOTSUPP;
}

static int
read_set(struct reading *r, Elf_Scn *set)
{
	size_t width = r->wide ? 8 : 4;
	Elf_Data *data = elf_rawdata(set, NULL);
	int rc = data == NULL || data->d_size / width > RECORDS_MAX
	    ? -ECORRUPT
	    : collect_fixups(r);

	for (size_t i = 0; rc == 0 && i < data->d_size / width; i++) {
		struct place pointer = {set, i * width};

		rc = read_record(r, &pointer);
	}
	return rc;
}

int
kmod_read(void *image, size_t len, struct kmod *out)
{
	struct reading r = {.out = out};
	scoped(elfp) Elf *elf = NULL;
	Elf_Scn *set;
	int rc;

	*out = (struct kmod){0};
	if (elf_version(EV_CURRENT) == EV_NONE)
		return -EOPNOTSUPP;
	elf = elf_memory(image, len);
	if (elf == NULL || elf_kind(elf) != ELF_K_ELF)
		return 0;
	r.elf = elf;
	set = find_set(elf);
	if (set == NULL)
		return 0;
	rc = read_header(&r);
	if (rc == 0)
		rc = read_set(&r, set);
	free(r.fixups);
	return rc;
}

void
kmod_release(struct kmod *kmod)
{
	for (size_t i = 0; i < kmod->n; i++)
		free(kmod->records[i].name);
	free(kmod->records);
	*kmod = (struct kmod){0};
}
