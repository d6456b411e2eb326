//! What the host does to a server or a client in the middle of a transfer: kill, full disks, quotas, permissions, forks.
