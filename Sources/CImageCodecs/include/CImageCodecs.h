#ifndef KEDGE_IMAGE_CODECS_H
#define KEDGE_IMAGE_CODECS_H
int kedge_codecs_version(void);
#endif
