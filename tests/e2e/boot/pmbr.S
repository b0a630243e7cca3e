/*
 * What stands in for FreeBSD's boot/pmbr: the boot code of a protective MBR.
 * It finds the freebsd-boot partition in the GPT and starts what is in it.
 */
	.code16
	.set HERE, 0x600	/* it moves to where it is in nobody's way */
	.set BUFFER, 0x800	/* one sector of 512 bytes */
	.set TARGET, 0x7c00
	.set SERIAL, 0x3f8

	.globl start
start:
	cli
	cld
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $TARGET, %sp
	movw $TARGET, %si
	movw $HERE, %di
	movw $256, %cx
	rep movsw
	ljmp $0, $main
main:
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

	movw $no_gpt, %si	/* one entry must protect the GPT */
	movw $HERE + 446, %bx
1:	cmpb $0xee, 4(%bx)
	je 2f
	addw $16, %bx
	cmpw $HERE + 510, %bx
	jb 1b
	jmp fail
2:	movl $1, %eax
	call read
	cmpl $0x20494645, BUFFER	/* "EFI " */
	jne fail
	movl BUFFER + 72, %eax		/* entries: where, how many, size */
	movl BUFFER + 80, %ecx
	movw BUFFER + 84, %dx

	movw $no_partition, %si
next_sector:
	call read
	movw $BUFFER, %bx
next_entry:
	pushw %cx
	pushw %si
	movw $type, %si
	movw %bx, %di
	movw $8, %cx
	repe cmpsw
	popw %si
	popw %cx
	je load
	decl %ecx
	jz fail
	addw %dx, %bx
	cmpw $BUFFER + 512, %bx
	jb next_entry
	incl %eax
	jmp next_sector

load:				/* the whole partition, from TARGET on */
	movl 32(%bx), %eax
	movl 40(%bx), %ecx
	subl %eax, %ecx
	incl %ecx
	movw $too_large, %si
	cmpl $64, %ecx
	ja fail
	movw $TARGET, %di
1:	call read
	pushw %cx
	movw $BUFFER, %si
	movw $256, %cx
	rep movsw
	popw %cx
	incl %eax
	loop 1b
	movb drive, %dl
	ljmp $0, $TARGET

/* Sector %eax to BUFFER. */
read:
	pushal
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

hello:	.asciz "pmbr: started\r\n"
no_gpt:	.asciz "no GPT\r\n"
no_partition: .asciz "no freebsd-boot\r\n"
too_large: .asciz "partition too large\r\n"
bad_read: .asciz "cannot read\r\n"
type:				/* 83bd6b9d-7f41-11dc-be0b-001560b84f0f */
	.long 0x83bd6b9d
	.word 0x7f41, 0x11dc
	.byte 0xbe, 0x0b, 0x00, 0x15, 0x60, 0xb8, 0x4f, 0x0f
	.balign 4
packet:	.byte 16, 0, 1, 0	/* INT 13h, function 42h */
	.word BUFFER, 0
	.quad 0
drive:	.byte 0
	.org 440		/* the disk's number and the table follow */
