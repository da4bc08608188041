/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The test core's memory: pages by key, dropped by age when full. Calls under its one lock. */
#ifndef FAKE_STORE_H
#define FAKE_STORE_H

#include "tmem_core.h"

extern spinlock_t fake_lock;

int fake_store_init(unsigned int pages);
void fake_store_exit(void);
void fake_store_put(unsigned int pool, const struct tmem_key *key, const void *page);
/* The page, or NULL. Stays valid until the lock is released. */
const void *fake_store_find(unsigned int pool, const struct tmem_key *key);
bool fake_store_flush(unsigned int pool, const struct tmem_key *key);
void fake_store_flush_object(unsigned int pool, const u64 oid[3]);
void fake_store_flush_pool(unsigned int pool);
unsigned int fake_store_pages(void);

#endif
