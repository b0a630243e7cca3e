/*
 * What stands in for FreeBSD's boot/cdboot and boot/isoboot, assembled twice:
 * as cdboot it is started by El Torito from a CD, as isoboot by pmbr from a
 * GPT partition of a stick.  As those do (formats.md 3.2) it walks the volume
 * descriptors, finds /BOOT/LOADER or /boot/loader by raw ISO names and starts
 * it; each step says so on the serial port.
 *
 * UNIT is how many of the drive's sectors make 2048 bytes: 1 or 4.
 */
	.code16
	.set BUFFER, 0x9000	/* one sector of 2048 bytes */
	.set LOADER, 0x1000	/* segment the loader is put at */
	.set SERIAL, 0x3f8

	.globl start
start:
	cli
	cld
	ljmp $0, $main		/* the BIOS may have used segment 0x7c0 */
main:
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $start, %sp
	sti
	movb %dl, drive
	movw 0x46c, %ax		/* ticks: the BIOS shows on the serial port, too, */
1:	hlt			/* what it printed last, but not at once */
	movw 0x46c, %cx
	subw %ax, %cx
	cmpw $2, %cx
	jb 1b
	movw $hello, %si
	call print

	movl $16, %eax		/* volume descriptors */
1:	call read
	movw $no_volume, %si
	cmpb $255, BUFFER
	je fail
	incl %eax
	cmpb $1, BUFFER
	jne 1b
	cmpl $0x30304443, BUFFER + 1	/* "CD00" */
	jne fail

	movl BUFFER + 156 + 2, %eax
	movl %eax, root
	movl BUFFER + 156 + 10, %eax
	movl %eax, root_size
	movw $upper, %si
	call find
	jnc load
	movw $lower, %si
	call find
	movw $no_loader, %si
	jc fail

/* %eax: where it lies, %ecx: its bytes.  Sector by sector to LOADER:0. */
load:
	addl $2047, %ecx
	shrl $11, %ecx
	movw $too_large, %si
	cmpl $256, %ecx
	jae fail
	movw $LOADER, %bx
1:	call read
	pushw %cx
	movw %bx, %es
	movw $BUFFER, %si
	xorw %di, %di
	movw $2048, %cx
	rep movsb
	popw %cx
	addw $2048 / 16, %bx
	incl %eax
	loop 1b
	movw $found, %si
	call print
	movb drive, %dl
	movb $UNIT, %dh
	ljmp $LOADER, $0

/*
 * Find the two names at %si, one in the other, from the root.  %eax, %ecx:
 * place and bytes; carry: not there.  %bp walks over the names.
 */
find:
	movw %si, %bp
	movl root, %eax
	movl root_size, %ecx
	call find_name
	jc 1f
	call find_name
1:	ret

/* The name at %bp in the directory %eax of %ecx bytes; %bp: behind it. */
find_name:
	addl $2047, %ecx
	shrl $11, %ecx
next_sector:
	call read
	movw $BUFFER, %bx
next_record:
	movzbw (%bx), %dx
	testw %dx, %dx		/* nothing more in this sector */
	jz 2f
	call is_name
	je 3f
	addw %dx, %bx
	cmpw $BUFFER + 2048, %bx
	jb next_record
2:	incl %eax
	loop next_sector
	stc
	ret
3:	addw %di, %bp
	incw %bp
	movl 2(%bx), %eax
	movl 10(%bx), %ecx
	clc
	ret

/*
 * Whether the record at %bx has the name at %bp, but for ";1" and a dot at the
 * end.  Equal: yes, %di is its length.
 */
is_name:
	xorw %di, %di
1:	movb (%bp, %di), %dl
	testb %dl, %dl
	jz 2f
	cmpb 33(%bx, %di), %dl
	jne 5f
	incw %di
	jmp 1b
2:	movw %di, %si		/* what the record has beyond it */
	movzbw 32(%bx), %dx
	cmpw %dx, %si
	je 5f
	cmpb $'.', 33(%bx, %si)
	jne 3f
	incw %si
	cmpw %dx, %si
	je 5f
3:	cmpb $';', 33(%bx, %si)
5:	movzbw (%bx), %dx
	ret

/* Sector %eax of 2048 bytes to BUFFER. */
read:
	pushal
	movl $UNIT, %ecx
	mull %ecx
	movl %eax, packet + 8
	movb drive, %dl
	movw $packet, %si
	movb $0x42, %ah
	int $0x13
	movw $bad_read, %si
	jc fail
	popal
	ret

fail:
	call print
1:	hlt
	jmp 1b

print:
	pushw %dx
1:	movw $SERIAL + 5, %dx	/* has the port sent what it got? */
	inb %dx, %al
	testb $0x20, %al
	jz 1b
	lodsb
	testb %al, %al
	jz 2f
	movw $SERIAL, %dx
	outb %al, %dx
	jmp 1b
2:	popw %dx
	ret

upper:	.asciz "BOOT", "LOADER"
lower:	.asciz "boot", "loader"
hello:	.ascii NAME
	.asciz ": started\r\n"
found:	.ascii NAME
	.asciz ": loader found\r\n"
no_volume: .asciz "no ISO 9660 volume\r\n"
no_loader: .asciz "no loader\r\n"
too_large: .asciz "loader too large\r\n"
bad_read: .asciz "cannot read\r\n"
	.balign 4
packet:	.byte 16, 0, UNIT, 0	/* INT 13h, function 42h */
	.word BUFFER, 0
	.quad 0
drive:	.byte 0
	.balign 4
root:	.long 0
root_size: .long 0
