# One file, no recursion, no conditionals: GNU make >= 4 and bmake both read it.
CC ?= cc
CFLAGS ?= -O2 -g
PREFIX ?= /usr/local
WARN = -std=c11 -Wall -Wextra -Wpedantic -Wshadow -Wvla -Wundef \
	-Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wwrite-strings -Wcast-qual -Wformat=2 -Wimplicit-fallthrough
PKGS = fuse3 libarchive liblz4 liblzma libzstd libdeflate libelf zlib \
	json-c libisofs-1
PKG_CFLAGS != pkg-config --cflags $(PKGS) 2>/dev/null || true
PKG_LIBS != pkg-config --libs $(PKGS) 2>/dev/null || true
# Linux's alone.
SECCOMP_LIBS != pkg-config --libs libseccomp 2>/dev/null || true
ALL_CFLAGS = $(WARN) -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -pthread \
	$(PKG_CFLAGS) $(CFLAGS)
LIBS = $(PKG_LIBS) $(SECCOMP_LIBS) -pthread
SAN = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer

# Of prove(1); seconds for each fuzz target.
PROVE_FLAGS =
FUZZ_TIME = 8
E2E != ls tests/e2e/test-*.sh

# One file a line, sorted, so that changes merge.
IMGFMT = \
	imgfmt/bitmap.c \
	imgfmt/blkdev.c \
	imgfmt/blkdev_cache.c \
	imgfmt/blkdev_cache_flush.c \
	imgfmt/blkdev_file.c \
	imgfmt/blkdev_mem.c \
	imgfmt/blkdev_slice.c \
	imgfmt/blkdev_sparse.c \
	imgfmt/cache_map.c \
	imgfmt/compat.c \
	imgfmt/compat_affinity.c \
	imgfmt/compat_clone.c \
	imgfmt/compat_confine.c \
	imgfmt/compat_crc32c.c \
	imgfmt/compat_ns.c \
	imgfmt/compat_tree.c \
	imgfmt/compat_xattr.c \
	imgfmt/crc32c.c \
	imgfmt/fat.c \
	imgfmt/fflags.c \
	imgfmt/gpt.c \
	imgfmt/gpt_make.c \
	imgfmt/gz.c \
	imgfmt/iso_area.c \
	imgfmt/iso_boot.c \
	imgfmt/iso_bootfix.c \
	imgfmt/iso_cdboot.c \
	imgfmt/iso_check.c \
	imgfmt/iso_edit.c \
	imgfmt/iso_edit_boot.c \
	imgfmt/iso_edit_dir.c \
	imgfmt/iso_edit_name.c \
	imgfmt/iso_edit_path.c \
	imgfmt/iso_edit_record.c \
	imgfmt/iso_edit_write.c \
	imgfmt/iso_patch.c \
	imgfmt/iso_plan.c \
	imgfmt/iso_read.c \
	imgfmt/iso_rr.c \
	imgfmt/iso_volume.c \
	imgfmt/iso_walk.c \
	imgfmt/iso_why.c \
	imgfmt/linux_acl.c \
	imgfmt/log.c \
	imgfmt/monotonic.c \
	imgfmt/part.c \
	imgfmt/part_bsd.c \
	imgfmt/part_gpt.c \
	imgfmt/part_mbr.c \
	imgfmt/pool.c \
	imgfmt/radix.c \
	imgfmt/slab.c \
	imgfmt/ufs_acl.c \
	imgfmt/ufs_alloc.c \
	imgfmt/ufs_attr.c \
	imgfmt/ufs_balloc.c \
	imgfmt/ufs_bmap.c \
	imgfmt/ufs_cg_load.c \
	imgfmt/ufs_cgmap.c \
	imgfmt/ufs_cgnew.c \
	imgfmt/ufs_check.c \
	imgfmt/ufs_check_group.c \
	imgfmt/ufs_check_inode.c \
	imgfmt/ufs_check_names.c \
	imgfmt/ufs_check_path.c \
	imgfmt/ufs_check_super.c \
	imgfmt/ufs_check_walk.c \
	imgfmt/ufs_dir.c \
	imgfmt/ufs_dirindex.c \
	imgfmt/ufs_dirmod.c \
	imgfmt/ufs_file.c \
	imgfmt/ufs_format.c \
	imgfmt/ufs_format_inode.c \
	imgfmt/ufs_grow.c \
	imgfmt/ufs_inode.c \
	imgfmt/ufs_mkfs.c \
	imgfmt/ufs_name.c \
	imgfmt/ufs_ranges.c \
	imgfmt/ufs_reap.c \
	imgfmt/ufs_rename.c \
	imgfmt/ufs_super.c \
	imgfmt/ufs_sync.c \
	imgfmt/ufs_truncate.c \
	imgfmt/ufs_write.c \
	imgfmt/ufs_xattr.c \
	imgfmt/ufs_xattr_write.c \
	imgfmt/utf16.c \
	imgfmt/uzip_cache.c \
	imgfmt/uzip_check.c \
	imgfmt/uzip_codec.c \
	imgfmt/uzip_copy.c \
	imgfmt/uzip_count.c \
	imgfmt/uzip_emit.c \
	imgfmt/uzip_entries.c \
	imgfmt/uzip_format.c \
	imgfmt/uzip_index.c \
	imgfmt/uzip_map.c \
	imgfmt/uzip_pad.c \
	imgfmt/uzip_read.c \
	imgfmt/uzip_stream.c \
	imgfmt/uzip_table.c \
	imgfmt/uzip_write.c \

FUSEFS = \
	fusefs/fuse_acl.c \
	fusefs/fuse_dirs.c \
	fusefs/fuse_flush.c \
	fusefs/fuse_follow.c \
	fusefs/fuse_helper.c \
	fusefs/fuse_main.c \
	fusefs/fuse_nodes.c \
	fusefs/fuse_ops.c \
	fusefs/fuse_ops_attr.c \
	fusefs/fuse_ops_file.c \
	fusefs/fuse_ops_name.c \
	fusefs/fuse_ops_xattr.c \
	fusefs/fuse_options.c \
	fusefs/fuse_perm.c \
	fusefs/fuse_relive.c \
	fusefs/fuse_signals.c \
	fusefs/fuse_umount.c \
	fusefs/fuse_view_all.c \
	fusefs/fuse_view_block.c \
	fusefs/fuse_volumes.c \
	fusefs/fuse_wire.c \
	fusefs/image.c \
	fusefs/image_find.c \
	fusefs/image_gz.c \
	fusefs/image_kind.c \
	fusefs/image_ufs.c \
	fusefs/overlay.c \
	fusefs/overlay_compact.c \
	fusefs/overlay_dev.c \
	fusefs/overlay_file.c \
	fusefs/overlay_format.c \
	fusefs/overlay_index.c \
	fusefs/overlay_log.c \
	fusefs/overlay_map.c \
	fusefs/overlay_read.c \
	fusefs/overlay_recover.c \
	fusefs/overlay_state.c \
	fusefs/session.c \
	fusefs/session_base.c \
	fusefs/session_end.c \
	fusefs/session_fs.c \
	fusefs/session_id.c \
	fusefs/session_iso.c \
	fusefs/session_lock.c \
	fusefs/session_place.c \


MKIMAGE = \
	mkimage/boot.c \
	mkimage/boot_child.c \
	mkimage/boot_console.c \
	mkimage/boot_expect.c \
	mkimage/boot_kvm.c \
	mkimage/boot_qemu.c \
	mkimage/boot_session.c \
	mkimage/cmd.c \
	mkimage/cmd_boot.c \
	mkimage/cmd_cat.c \
	mkimage/cmd_check.c \
	mkimage/cmd_commit.c \
	mkimage/cmd_convert.c \
	mkimage/cmd_create.c \
	mkimage/cmd_discard.c \
	mkimage/cmd_extract.c \
	mkimage/cmd_info.c \
	mkimage/cmd_ls.c \
	mkimage/cmd_mount.c \
	mkimage/cmd_shell.c \
	mkimage/cmd_status.c \
	mkimage/cmd_uzip.c \
	mkimage/commit.c \
	mkimage/commit_content.c \
	mkimage/commit_raw.c \
	mkimage/commit_share.c \
	mkimage/commit_uzip.c \
	mkimage/commit_verify.c \
	mkimage/commit_warn.c \
	mkimage/commit_whole.c \
	mkimage/container.c \
	mkimage/convert.c \
	mkimage/convert_how.c \
	mkimage/convert_iso.c \
	mkimage/convert_settings.c \
	mkimage/create.c \
	mkimage/create_edit.c \
	mkimage/create_fs.c \
	mkimage/create_image.c \
	mkimage/create_layout.c \
	mkimage/create_size.c \
	mkimage/fs_args.c \
	mkimage/idmap.c \
	mkimage/info_boot.c \
	mkimage/info_image.c \
	mkimage/info_ufs.c \
	mkimage/iso_args.c \
	mkimage/iso_author.c \
	mkimage/iso_author_files.c \
	mkimage/iso_author_hybrid.c \
	mkimage/iso_author_image.c \
	mkimage/iso_author_stream.c \
	mkimage/json_text.c \
	mkimage/kld_hints.c \
	mkimage/kmod.c \
	mkimage/layout.c \
	mkimage/layout_rc.c \
	mkimage/layout_sizes.c \
	mkimage/layout_tree.c \
	mkimage/layout_tweak.c \
	mkimage/loader_conf.c \
	mkimage/mount_place.c \
	mkimage/order.c \
	mkimage/outfile.c \
	mkimage/parts.c \
	mkimage/path.c \
	mkimage/plan.c \
	mkimage/progress.c \
	mkimage/report.c \
	mkimage/shell.c \
	mkimage/shell_program.c \
	mkimage/shell_tree.c \
	mkimage/status.c \
	mkimage/status_walk.c \
	mkimage/tree_node.c \
	mkimage/tree.c \
	mkimage/tree_archive.c \
	mkimage/tree_content.c \
	mkimage/tree_dir.c \
	mkimage/tree_gzip.c \
	mkimage/tree_ids.c \
	mkimage/tree_mtree.c \
	mkimage/tree_out.c \
	mkimage/tree_part.c \
	mkimage/tree_source.c \
	mkimage/tree_tar.c \
	mkimage/tree_view.c \
	mkimage/trim.c \
	mkimage/uzip_args.c \
	mkimage/view.c \

SRCS = $(IMGFMT) $(FUSEFS) $(MKIMAGE)
OBJS = $(SRCS:.c=.o)

# What unit tests share.
TESTLIB = \
	tests/unit/blkdev_fault.c \
	tests/unit/crash_images.c \
	tests/unit/crash_tree.c \
	tests/unit/crash_world.c \
	tests/unit/overlay_mem.c \
	tests/unit/ufs_model.c \
	tests/unit/ufs_model_compare.c \
	tests/unit/ufs_model_data.c \
	tests/unit/ufs_model_names.c \
	tests/unit/ufs_scratch.c \

UNIT = \
	tests/unit/test_blkdev \
	tests/unit/test_boot \
	tests/unit/test_cache \
	tests/unit/test_cmd \
	tests/unit/test_confine \
	tests/unit/test_crash_model \
	tests/unit/test_create \
	tests/unit/test_fat \
	tests/unit/test_fuse \
	tests/unit/test_gz \
	tests/unit/test_idmap \
	tests/unit/test_image \
	tests/unit/test_iso \
	tests/unit/test_iso_author \
	tests/unit/test_iso_author_bad \
	tests/unit/test_iso_bad \
	tests/unit/test_iso_check \
	tests/unit/test_iso_edit \
	tests/unit/test_iso_patch \
	tests/unit/test_iso_plan \
	tests/unit/test_kld_hints \
	tests/unit/test_kmod \
	tests/unit/test_layout \
	tests/unit/test_loader_conf \
	tests/unit/test_order \
	tests/unit/test_outfile \
	tests/unit/test_overlay \
	tests/unit/test_overlay_crash \
	tests/unit/test_overlay_fault \
	tests/unit/test_overlay_file \
	tests/unit/test_overlay_lost \
	tests/unit/test_overlay_map \
	tests/unit/test_part \
	tests/unit/test_plan \
	tests/unit/test_session \
	tests/unit/test_session_gz \
	tests/unit/test_session_device \
	tests/unit/test_session_iso \
	tests/unit/test_sparse \
	tests/unit/test_tree \
	tests/unit/test_tree_gzip \
	tests/unit/test_tree_source \
	tests/unit/test_tree_tar \
	tests/unit/test_tree_view \
	tests/unit/test_trim \
	tests/unit/test_ufs_acl \
	tests/unit/test_ufs_changes \
	tests/unit/test_ufs_check \
	tests/unit/test_ufs_check_tree \
	tests/unit/test_ufs_damage \
	tests/unit/test_ufs_dinode \
	tests/unit/test_ufs_dir \
	tests/unit/test_ufs_edit \
	tests/unit/test_ufs_fixtures \
	tests/unit/test_ufs_flush \
	tests/unit/test_ufs_format \
	tests/unit/test_ufs_grow \
	tests/unit/test_ufs_harm \
	tests/unit/test_ufs_mkfs \
	tests/unit/test_ufs_names \
	tests/unit/test_ufs_node \
	tests/unit/test_ufs_random \
	tests/unit/test_ufs_read \
	tests/unit/test_ufs_rot \
	tests/unit/test_ufs_super \
	tests/unit/test_ufs_write \
	tests/unit/test_ufs_xattr \
	tests/unit/test_ufs_xattr_write \
	tests/unit/test_uzip \
	tests/unit/test_uzip_check \
	tests/unit/test_uzip_copy \
	tests/unit/test_uzip_fault \
	tests/unit/test_uzip_pad \
	tests/unit/test_uzip_parts \
	tests/unit/test_uzip_proven \
	tests/unit/test_uzip_write \
	tests/unit/test_vocabulary \

.SUFFIXES:
.SUFFIXES: .c .o
.c.o:
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

all: relive

relive: librelive.a mkimage/main.o
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ mkimage/main.o librelive.a $(LIBS)

mkimage/layout_rc.o: mkimage/newroot.rc mkimage/baseroot.rc

librelive.a: $(OBJS)
	rm -f $@
	$(AR) -rcs $@ $(OBJS)

$(UNIT): librelive.a $(TESTLIB:.c=.o) $(UNIT:=.o)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $@.o $(TESTLIB:.c=.o) \
		librelive.a $(LIBS)

unit: $(UNIT)
	prove -j 2 $(PROVE_FLAGS) -e '' $(UNIT)

# Real images, real mounts.  RELIVE names another program to test.
e2e: relive build/mkfs
	prove -j 2 $(PROVE_FLAGS) -e bash $(E2E)

# Makes file systems for the end-to-end tests.
build/mkfs: tests/e2e/mkfs.c librelive.a
	mkdir -p build
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ tests/e2e/mkfs.c librelive.a $(LIBS)

check:
	MAKE='$(MAKE)' scripts/check

lint:
	scripts/lint

# The same with other eyes: scripts/variant compiles into build/NAME.
clang:
	SRCS='$(SRCS)' TESTLIB='$(TESTLIB)' PROGRAMS='mkimage/main.c $(UNIT:=.c)' \
	LIBS='$(LIBS)' scripts/variant clang clang $(ALL_CFLAGS) -Werror

# Damaged images too: the end-to-end tests that feed them, sanitized.
asan: sanitized
	prove -j 2 $(PROVE_FLAGS) -e '' $(UNIT:tests/unit/%=build/asan/%)
	ASAN_OPTIONS=exitcode=99 RELIVE=$$PWD/build/asan/main RELIVE_DAMAGED=60 \
		prove $(PROVE_FLAGS) -e bash tests/e2e/test-check-damaged.sh \
		tests/e2e/test-mount-damaged.sh

sanitized:
	SRCS='$(SRCS)' TESTLIB='$(TESTLIB)' PROGRAMS='mkimage/main.c $(UNIT:=.c)' \
	LIBS='$(LIBS)' scripts/variant asan clang $(ALL_CFLAGS) $(SAN) \
		-fsanitize=fuzzer-no-link

# Races: unit tests that start threads, and many processes in one mount.
THREADED = cache fuse overlay uzip uzip_proven uzip_write vocabulary
tsan:
	SRCS='$(SRCS)' TESTLIB='$(TESTLIB)' LIBS='$(LIBS)' \
	PROGRAMS="mkimage/main.c $$(printf 'tests/unit/test_%s.c ' $(THREADED))" \
		scripts/variant tsan clang $(ALL_CFLAGS) -O1 -g \
		-fsanitize=thread -fno-omit-frame-pointer
	prove -j 2 $(PROVE_FLAGS) -e '' $$(printf 'build/tsan/test_%s ' $(THREADED))
	RELIVE=$$PWD/build/tsan/main RELIVE_PARALLEL=250 \
		prove $(PROVE_FLAGS) -e bash tests/e2e/test-parallel.sh

fuzz-smoke: relive sanitized
	FLAGS='$(ALL_CFLAGS) $(SAN)' LIBS='$(LIBS)' tests/fuzz/run $(FUZZ_TIME)

bench: relive
	tests/bench/run

demo:
	scripts/install-deps demo
	$(MAKE) relive
	scripts/demo

install: relive
	mkdir -p '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/share/man/man1'
	install -m 755 relive '$(DESTDIR)$(PREFIX)/bin/relive'
	install -m 644 mkimage/relive.1 \
		'$(DESTDIR)$(PREFIX)/share/man/man1/relive.1'

uninstall:
	rm -f '$(DESTDIR)$(PREFIX)/bin/relive' \
		'$(DESTDIR)$(PREFIX)/share/man/man1/relive.1'

clean:
	rm -f relive librelive.a $(UNIT) */*.o tests/*/*.o
	rm -rf build

.PHONY: all asan bench check clang clean demo e2e fuzz-smoke install lint \
	sanitized tsan uninstall unit

# Fast compiles: every object depends on all headers.
HDRS != ls */*.h tests/*/*.h
$(OBJS) mkimage/main.o $(TESTLIB:.c=.o) $(UNIT:=.o): $(HDRS)
