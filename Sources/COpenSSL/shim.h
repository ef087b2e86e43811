#ifndef KEDGE_COPENSSL_SHIM_H
#define KEDGE_COPENSSL_SHIM_H
#include <openssl/evp.h>
#endif
