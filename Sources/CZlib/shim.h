#ifndef KEDGE_CZLIB_SHIM_H
#define KEDGE_CZLIB_SHIM_H
#include <zlib.h>
#endif
