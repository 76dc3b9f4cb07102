/* The wall clock at start, from the CMOS clock (MC146818, with the century where ACPI says it is).
 * It is taken to be UTC, and is good to a second. */
#include "../machine.h"

#include <string.h>

#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71
#define STATUS_A 0x0a
#define STATUS_B 0x0b
#define UPDATE_IN_PROGRESS 0x80u
#define BINARY 0x04u
#define HOURS_24 0x02u
#define HOUR_PM 0x80u
#define TRIES_MAX 10000u

struct rtc {
	uint32_t second, minute, hour, day, month, year, century;
};

static uint8_t cmos(uint8_t index)
{
	outb(CMOS_INDEX, index | 0x80); /* NMI off, as it was */
	return inb(CMOS_DATA);
}

static struct rtc rtc_read_raw(uint8_t century)
{
	for (unsigned i = 0; i < TRIES_MAX && cmos(STATUS_A) & UPDATE_IN_PROGRESS; i++)
		cpu_relax();
	return (struct rtc){cmos(0), cmos(2), cmos(4), cmos(7), cmos(8), cmos(9),
		century ? cmos(century) : 0};
}

static uint32_t from_bcd(uint32_t v)
{
	return (v >> 4) * 10 + (v & 15);
}

/* Days since 1970-01-01 in the Gregorian calendar; years run from March, so that the leap day is
 * their last. */
static int64_t days_since_1970(uint32_t year, uint32_t month, uint32_t day)
{
	int64_t y = month <= 2 ? (int64_t)year - 1 : (int64_t)year;
	int64_t m = month <= 2 ? (int64_t)month + 9 : (int64_t)month - 3;
	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + (int64_t)day - 719469;
}

int64_t rtc_read_ns(const struct acpi *acpi)
{
	uint8_t century = acpi->century && acpi->century < 0x80 ? acpi->century : 0;
	if (cmos(STATUS_A) == 0xff && cmos(STATUS_B) == 0xff)
		return 0; /* nobody there */
	struct rtc t = rtc_read_raw(century), again = rtc_read_raw(century);
	for (unsigned i = 0; i < 4 && memcmp(&t, &again, sizeof t) != 0; i++) {
		t = again;
		again = rtc_read_raw(century);
	}
	uint8_t status = cmos(STATUS_B);
	bool pm = t.hour & HOUR_PM;
	t.hour &= ~HOUR_PM;
	if (!(status & BINARY))
		t = (struct rtc){from_bcd(t.second), from_bcd(t.minute), from_bcd(t.hour),
			from_bcd(t.day), from_bcd(t.month), from_bcd(t.year), from_bcd(t.century)};
	if (!(status & HOURS_24))
		t.hour = t.hour % 12 + (pm ? 12 : 0);
	uint32_t year = t.year + (t.century >= 19 && t.century < 100 ? t.century * 100 : 2000);
	if (t.second > 60 || t.minute > 59 || t.hour > 23 || t.day < 1 || t.day > 31 ||
		t.month < 1 || t.month > 12 || t.year > 99 || year < 1970)
		return 0;
	int64_t seconds = days_since_1970(year, t.month, t.day) * 86400 + t.hour * 3600 +
			  t.minute * 60 + t.second;
	return seconds * 1000000000;
}
