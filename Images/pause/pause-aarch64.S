// The program that holds a pod's namespaces: it does nothing until it is told to stop.
//
// As process 1 of a shared PID namespace it must reap orphans: SIGCHLD is ignored with SA_NOCLDWAIT, so the kernel
// does. Process 1 is immune to signals without a handler, so TERM and INT get one, which exits with 0.

        .globl  _start
        .text
_start:
        mov     x0, #17                 // SIGCHLD
        adr     x1, ignored
        bl      sigaction
        mov     x0, #15                 // SIGTERM
        adr     x1, leaving
        bl      sigaction
        mov     x0, #2                  // SIGINT
        adr     x1, leaving
        bl      sigaction
1:      mov     x0, #0
        mov     x1, #0
        mov     x2, #0
        mov     x3, #0
        mov     x4, #8
        mov     x8, #73                 // ppoll without descriptors and without end
        svc     #0
        b       1b

// x0: signal, x1: struct sigaction of the kernel
sigaction:
        mov     x2, #0
        mov     x3, #8                  // bytes in the signal mask
        mov     x8, #134                // rt_sigaction
        svc     #0
        ret

leave:  mov     x0, #0
        mov     x8, #94                 // exit_group
        svc     #0

// handler, flags, restorer, mask
        .balign 8
ignored:
        .quad   1, 0x2, 0, 0            // SIG_IGN, SA_NOCLDWAIT
leaving:
        .quad   leave, 0, 0, 0
