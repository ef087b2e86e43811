#include "CImageCodecs.h"
int kedge_codecs_version(void) { return 1; }
