/* The addresses that link.ld defines. Only their addresses mean anything. */
#ifndef MACHINE_X86_64_IMAGE_H
#define MACHINE_X86_64_IMAGE_H

#include <stdint.h>

extern const uint8_t image_start[], image_end[];
extern const uint8_t image_text_start[], image_text_end[];
extern const uint8_t image_rodata_start[], image_rodata_end[];
extern const uint8_t image_data_start[];
extern const uint8_t image_build_id_start[], image_build_id_end[];
extern const uint8_t image_symbols_start[], image_symbols_end[];
extern uint8_t image_spare_tables_start[], image_spare_tables_end[];
extern uint64_t boot_pml4[];

#endif
