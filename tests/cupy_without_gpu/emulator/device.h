// What the stand-ins of the runtime and of cuBLAS ask of the device (device.cpp).
#pragma once
#include <stddef.h>

extern "C" {
void* device_malloc(size_t size);                    // null when the device's memory is used up
bool device_free(void* block);                       // false if it is no block
bool device_owns(const void* start, size_t size);    // are these bytes within one block?
void device_memory(size_t* free, size_t* total);
}
