/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every difference between kernel versions, and nothing else.
 *
 * Built against 6.1 and 6.12. Branches for what lies between follow the kernels' history and were
 * not compiled.
 */
#ifndef TMEM_COMPAT_H
#define TMEM_COMPAT_H

#include <linux/timer.h>
#include <linux/version.h>

#define TMEM_KERNEL(major, minor) (LINUX_VERSION_CODE >= KERNEL_VERSION(major, minor, 0))

/* Timers were renamed: 6.2 (deletion), 6.16 (container). */
#if !TMEM_KERNEL(6, 2)
#define tmem_timer_delete_sync del_timer_sync
#else
#define tmem_timer_delete_sync timer_delete_sync
#endif
#if TMEM_KERNEL(6, 16)
#define tmem_from_timer timer_container_of
#else
#define tmem_from_timer from_timer
#endif

#endif /* TMEM_COMPAT_H */
