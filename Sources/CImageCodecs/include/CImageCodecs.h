#ifndef KEDGE_IMAGE_CODECS_H
#define KEDGE_IMAGE_CODECS_H

#include <stddef.h>
#include <stdint.h>

// PNG and JPEG between memory buffers. libpng and libjpeg report errors by a jump; every jump starts and ends inside
// this target, so callers see a status and a message, and nothing is printed, leaked or exited.

#define KEDGE_IMAGE_OK 0
#define KEDGE_IMAGE_DAMAGED 1
#define KEDGE_IMAGE_OVER_LIMIT 2
#define KEDGE_IMAGE_UNSUPPORTED 3
#define KEDGE_IMAGE_OUT_OF_MEMORY 4
#define KEDGE_IMAGE_MESSAGE_BYTES 256   // room for any message, the terminating zero included

struct kedge_image_limits {
    uint32_t max_side;      // pixels
    uint64_t max_pixels;    // width * height, checked before samples are allocated
    uint64_t max_memory;    // bytes of working memory of a JPEG decoder, the samples not counted
    uint32_t max_scans;     // scans of a progressive JPEG
};

// Samples row by row without padding; 16-bit samples are big-endian. Free `samples` after every call.
struct kedge_image { uint32_t width, height, channels, bytes_per_sample; uint8_t *samples; };
// An encoded image. Free `bytes` after every call.
struct kedge_image_bytes { uint8_t *bytes; size_t count; };

// As 8-bit RGB: palettes and low depths expanded, 16 bits cut to the high 8, alpha dropped, gamma ignored.
#define KEDGE_PNG_RGB 0
// The stored values of a grey PNG or the indices of a palette PNG, unscaled, in 1 or 2 bytes per sample.
#define KEDGE_PNG_LABELS 1
// The stored values of a PNG of 16 bits: grey (1 channel) or RGB, alpha dropped, gamma ignored.
#define KEDGE_PNG_DEEP 2
// A PNG in one of these forms.
int kedge_png_decode(const uint8_t *bytes, size_t count, const struct kedge_image_limits *limits, int form,
                     struct kedge_image *out, char *message);
// 8-bit RGB of a baseline or progressive JPEG with one or three components; Exif orientation is not applied.
int kedge_jpeg_decode(const uint8_t *bytes, size_t count, const struct kedge_image_limits *limits,
                      struct kedge_image *out, char *message);
// A PNG of grey (1 channel, 1 or 2 bytes per sample) or RGB (3 channels, 1 byte per sample).
int kedge_png_encode(const struct kedge_image *image, struct kedge_image_bytes *out, char *message);
// A baseline JPEG of 8-bit grey or RGB samples, quality 1...100.
int kedge_jpeg_encode(const struct kedge_image *image, int quality, struct kedge_image_bytes *out, char *message);

// Frees samples or encoded bytes; a call that failed may have left some.
void kedge_image_free(void *pointer);

#endif
