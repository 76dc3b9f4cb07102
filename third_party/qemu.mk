# QEMU's plugin interface: one header out of its source package, for bench/plugin/. Debian has QEMU as a
# program only, without this header. The interface is versioned (QEMU_PLUGIN_VERSION, checked when a
# plugin is loaded), so any QEMU since 6.0 that was built with plugins takes what this header describes.
#
#   $(QEMU_READY)   stands when qemu-plugin.h is in $(QEMU_INCLUDE)

QEMU_SRC := $(BUILD)/third_party/src/qemu
QEMU_INCLUDE := $(QEMU_SRC)/include/qemu
QEMU_READY := $(QEMU_INCLUDE)/qemu-plugin.h

$(QEMU_READY): | third_party/fetch third_party/SOURCES
	@third_party/fetch qemu $(BUILD)/third_party/archives $(QEMU_SRC) include/qemu/qemu-plugin.h
