/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Switches that break the cache on purpose, so that tests can show that they would notice. Only in
 * builds with TMEM_FAULTS=1; elsewhere each is the constant false.
 */
#ifndef TMEM_CACHE_FAULTS_H
#define TMEM_CACHE_FAULTS_H

#ifdef TMEM_FAULTS
extern bool cache_fault_no_invalidate; /* writes leave the page in the pool */
extern bool cache_fault_no_generation; /* puts do not ask whether the block was written */
extern bool cache_fault_keep_on_free;  /* records survive their page's end */
extern bool cache_fault_blind_hook;    /* the hook is installed, but redirects nothing */
extern bool cache_fault_wrong_hits;    /* hits have one byte changed */
extern bool cache_fault_no_ios;	       /* where an io is not waited for, there is none */
#define cache_fault(name) READ_ONCE(cache_fault_##name)
#else
#define cache_fault(name) false
#endif

#endif
