#ifndef KEDGE_CPNG_SHIM_H
#define KEDGE_CPNG_SHIM_H
#include <png.h>
#endif
