"""Limits of a process that reads what somebody sent. It has nothing of the stack but this."""


def limit_process(seconds: int, memory: int) -> None:
    """From here on it has `seconds` of a processor and `memory` bytes of addresses, and writes no file."""
    import resource  # which not every system has

    limits = {"RLIMIT_CPU": seconds, "RLIMIT_AS": memory, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0}
    for name, most in limits.items():
        _, hard = resource.getrlimit(getattr(resource, name))
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(getattr(resource, name), (least, least))
        except (ValueError, OSError):
            continue  # macOS has no limit of the memory
