// SPDX-License-Identifier: GPL-2.0-only
/* The fault switches of faults.h, as module parameters. */
#include <linux/module.h>
#include "faults.h"

bool cache_fault_no_invalidate;
bool cache_fault_no_generation;
bool cache_fault_keep_on_free;
bool cache_fault_blind_hook;
bool cache_fault_wrong_hits;
bool cache_fault_no_ios;

module_param_named(fault_no_invalidate, cache_fault_no_invalidate, bool, 0644);
module_param_named(fault_no_generation, cache_fault_no_generation, bool, 0644);
module_param_named(fault_keep_on_free, cache_fault_keep_on_free, bool, 0644);
module_param_named(fault_blind_hook, cache_fault_blind_hook, bool, 0644);
module_param_named(fault_wrong_hits, cache_fault_wrong_hits, bool, 0644);
module_param_named(fault_no_ios, cache_fault_no_ios, bool, 0644);
