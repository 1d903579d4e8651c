"""Who calls, and whether they may: tokens, certificates, roles, cases, purposes."""
