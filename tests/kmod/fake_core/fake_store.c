// SPDX-License-Identifier: GPL-2.0-or-later
/* See fake_store.h. One hash table, one list by age, pages allocated at load. */
#include <linux/hashtable.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>
#include "fake_store.h"

struct entry {
	struct hlist_node hash;
	struct list_head age; /* of held ones, or the free list */
	unsigned int pool;
	struct tmem_key key;
	void *page;
};

DEFINE_SPINLOCK(fake_lock);
static DEFINE_HASHTABLE(table, 16);
static LIST_HEAD(by_age);
static LIST_HEAD(unused);
static struct entry *entries;
static unsigned int entry_count, held;

static bool same_object(const u64 a[3], const u64 b[3])
{
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2];
}

static u64 hash_of(const struct tmem_key *key)
{
	return key->oid[0] * 31 + key->oid[1] * 1024 + key->index;
}

static struct entry *find(unsigned int pool, const struct tmem_key *key)
{
	struct entry *entry;

	hash_for_each_possible(table, entry, hash, hash_of(key))
		if (entry->pool == pool && entry->key.index == key->index &&
		    same_object(entry->key.oid, key->oid))
			return entry;
	return NULL;
}

static void drop(struct entry *entry)
{
	hash_del(&entry->hash);
	list_move(&entry->age, &unused);
	held--;
}

void fake_store_put(unsigned int pool, const struct tmem_key *key, const void *page)
{
	struct entry *entry = find(pool, key);

	if (entry)
		drop(entry);
	else if (list_empty(&unused))
		drop(list_first_entry(&by_age, struct entry, age));
	entry = list_first_entry(&unused, struct entry, age);
	entry->pool = pool;
	entry->key = *key;
	copy_page(entry->page, (void *)page);
	hash_add(table, &entry->hash, hash_of(key));
	list_move_tail(&entry->age, &by_age);
	held++;
}

const void *fake_store_find(unsigned int pool, const struct tmem_key *key)
{
	struct entry *entry = find(pool, key);

	return entry ? entry->page : NULL;
}

bool fake_store_flush(unsigned int pool, const struct tmem_key *key)
{
	struct entry *entry = find(pool, key);

	if (entry)
		drop(entry);
	return entry;
}

void fake_store_flush_object(unsigned int pool, const u64 oid[3])
{
	struct entry *entry, *next;

	list_for_each_entry_safe(entry, next, &by_age, age)
		if (entry->pool == pool && same_object(entry->key.oid, oid))
			drop(entry);
}

void fake_store_flush_pool(unsigned int pool)
{
	struct entry *entry, *next;

	list_for_each_entry_safe(entry, next, &by_age, age)
		if (entry->pool == pool)
			drop(entry);
}

unsigned int fake_store_pages(void)
{
	return held;
}

int fake_store_init(unsigned int pages)
{
	entries = vzalloc(array_size(pages, sizeof(*entries)));
	if (!entries)
		return -ENOMEM;
	for (entry_count = 0; entry_count < pages; entry_count++) {
		struct entry *entry = &entries[entry_count];

		entry->page = (void *)__get_free_page(GFP_KERNEL);
		if (!entry->page) {
			fake_store_exit();
			return -ENOMEM;
		}
		list_add_tail(&entry->age, &unused);
	}
	return 0;
}

void fake_store_exit(void)
{
	while (entry_count)
		free_page((unsigned long)entries[--entry_count].page);
	vfree(entries);
}
