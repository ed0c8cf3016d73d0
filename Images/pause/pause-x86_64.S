# The program that holds a pod's namespaces: it does nothing until it is told to stop.
#
# As process 1 of a shared PID namespace it must reap orphans: SIGCHLD is ignored with SA_NOCLDWAIT, so the kernel
# does. Process 1 is immune to signals without a handler, so TERM and INT get one, which exits with 0.

        .globl  _start
        .text
_start:
        mov     $17, %edi               # SIGCHLD
        lea     ignored(%rip), %rsi
        call    sigaction
        mov     $15, %edi               # SIGTERM
        lea     leaving(%rip), %rsi
        call    sigaction
        mov     $2, %edi                # SIGINT
        lea     leaving(%rip), %rsi
        call    sigaction
1:      mov     $34, %eax               # pause
        syscall
        jmp     1b

# rdi: signal, rsi: struct sigaction of the kernel
sigaction:
        xor     %edx, %edx
        mov     $8, %r10d               # bytes in the signal mask
        mov     $13, %eax               # rt_sigaction
        syscall
        ret

leave:  xor     %edi, %edi
        mov     $231, %eax              # exit_group
        syscall

# handler, flags, restorer, mask. Handlers on x86-64 need a restorer even when they never return.
        .balign 8
ignored:
        .quad   1, 0x2, 0, 0            # SIG_IGN, SA_NOCLDWAIT
leaving:
        .quad   leave, 0x04000000, leave, 0
