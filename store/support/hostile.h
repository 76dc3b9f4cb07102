/* Volumes that somebody has written on purpose: fields of a good one are changed, and then all checksums are made
 * right again, so that what stands behind them is reached. */
#ifndef STORE_SUPPORT_HOSTILE_H
#define STORE_SUPPORT_HOSTILE_H

#include <stddef.h>
#include <stdint.h>

#define HOSTILE_CHANGE 6u /* bytes of input for one change */

/* One change: of a superblock, an entry of the table, a map node, a record, or any block. */
void hostile_change(uint8_t *media, uint32_t blocks, const uint8_t *input);
/* Every page, node, record and superblock that can be reached gets its right checksum. */
void hostile_seal(uint8_t *media, uint32_t blocks);

#endif
