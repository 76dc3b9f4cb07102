/* The received frames of a fuzzer: a pool of buffers that the engine borrows, each of which must have come back
 * in the end. */
#ifndef NET_SUPPORT_FUZZ_FRAMES_H
#define NET_SUPPORT_FUZZ_FRAMES_H

#include <base/assert.h>
#include <net/net.h>
#include <string.h>

#define FUZZ_BUFFERS 96
#define FUZZ_BUFFER_SIZE 2048

static const uint8_t own_mac[6] = {2, 0, 0, 0, 0, 1}, peer_mac[6] = {2, 0, 0, 0, 0, 2};

struct fuzz_buffer {
	struct frame_rx frame; /* first */
	bool out;
	uint8_t bytes[FUZZ_BUFFER_SIZE];
};

struct fuzz_frames {
	struct fuzz_buffer buffer[FUZZ_BUFFERS];
	uint32_t out; /* how many the engine has */
};

enum fuzz_place {
	FUZZ_AT_START, /* as a card does: there is room behind, and the engine may copy into it */
	FUZZ_AT_END,   /* where the sanitizer sees a step too far */
};

static inline void fuzz_frame_put(void *owner, struct frame_rx *f)
{
	struct fuzz_frames *frames = owner;
	struct fuzz_buffer *b = (struct fuzz_buffer *)(void *)f;
	ASSERT(b->out);
	b->out = false;
	frames->out--;
}

/* Lost when the engine has all buffers. `len` is at most FUZZ_BUFFER_SIZE. */
static inline void fuzz_frame_input(struct fuzz_frames *frames, struct net *net, uint64_t now_ns,
	const void *bytes, size_t len, enum fuzz_place place)
{
	for (uint32_t i = 0; i < FUZZ_BUFFERS; i++) {
		struct fuzz_buffer *b = &frames->buffer[i];
		if (b->out)
			continue;
		b->out = true;
		frames->out++;
		uint8_t *at = b->bytes + (place == FUZZ_AT_END ? FUZZ_BUFFER_SIZE - len : 0);
		memcpy(at, bytes, len);
		b->frame = (struct frame_rx){.data = at, .len = (uint32_t)len,
			.capacity = FUZZ_BUFFER_SIZE, .buffer = b->bytes, .put = fuzz_frame_put,
			.owner = frames};
		list_init(&b->frame.link);
		net_input(net, &b->frame, now_ns);
		return;
	}
}

#endif
