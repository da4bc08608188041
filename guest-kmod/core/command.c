// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests of the core itself: posted to queue 0 and waited for.
 *
 * Context: process, lifecycle held. Bounded by COMMAND_MS; after that the request is left to the
 * ring, as any other that timed out.
 */
#include <linux/delay.h>
#include "core.h"

#define COMMAND_MS 2000
#define FULL_MS 10 /* pause while the ring is full */

static int command_post(struct tmem_command *command, struct tmem_pool *pool, u8 op)
{
	struct inflight what = {
		.command = command, .pool = pool, .op = op, .slot = TMEM_NO_SLOT
	};
	struct tmem_queue *queue = &tmem.queues[0];
	unsigned long irq;
	int error = 0;

	spin_lock_irqsave(&queue->lock, irq);
	if (!queue->ring)
		error = -ENOTCONN;
	else if (queue_in_flight(queue) >= queue->ring->entries)
		error = -EAGAIN;
	else
		tmem_post(queue, &what, 0);
	spin_unlock_irqrestore(&queue->lock, irq);
	return error;
}

/* True: nobody will complete it any more. */
static bool command_detach(struct tmem_command *command)
{
	struct tmem_queue *queue = &tmem.queues[0];
	unsigned long irq;
	bool found = false;
	u32 i;

	spin_lock_irqsave(&queue->lock, irq);
	for (i = queue->rsp_cons; queue->ring && i != queue->req_prod; i++) {
		struct inflight *to = &queue->ring->inflight[i & (queue->ring->entries - 1)];

		if (to->command == command) {
			to->command = NULL;
			found = true;
		}
	}
	spin_unlock_irqrestore(&queue->lock, irq);
	return found;
}

int tmem_command(struct tmem_pool *pool, u8 op)
{
	unsigned long deadline = jiffies + msecs_to_jiffies(COMMAND_MS);
	struct tmem_command command;
	int error;

	init_completion(&command.done);
	while ((error = command_post(&command, pool, op)) == -EAGAIN) {
		if (time_after(jiffies, deadline))
			return -ETIMEDOUT;
		msleep(FULL_MS);
	}
	if (error)
		return error;
	if (!wait_for_completion_timeout(&command.done, msecs_to_jiffies(COMMAND_MS))) {
		if (command_detach(&command))
			return -ETIMEDOUT;
		wait_for_completion(&command.done); /* its answer is just being delivered */
	}
	return command.status;
}
