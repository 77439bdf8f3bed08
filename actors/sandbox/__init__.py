"""Strangers' code, in processes that can do nothing but compute (I14).

    Sandbox ──► zygote (clean environment, allowed modules loaded, no network, no files)
                  └── worker: one run's code, under limits and a syscall filter
                        └── a runner for its language

The parent holds the deadline and believes nothing of what comes back. Where the kernel lacks what a worker needs, no
code runs at all: canaries in a real worker say so at the start.
"""
