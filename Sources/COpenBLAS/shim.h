#ifndef KEDGE_COPENBLAS_SHIM_H
#define KEDGE_COPENBLAS_SHIM_H
#include <cblas.h>
#endif
