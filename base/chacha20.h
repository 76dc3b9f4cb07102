/* The ChaCha20 block function (RFC 8439, section 2.3). */
#ifndef BASE_CHACHA20_H
#define BASE_CHACHA20_H

#include <stdint.h>

/* Writes 64 bytes of key stream. `tail`: the counter and the nonce, words 12 to 15 of the state. */
void chacha20_block(const uint32_t key[8], const uint32_t tail[4], uint8_t out[64]);

#endif
