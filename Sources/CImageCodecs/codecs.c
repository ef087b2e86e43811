#include "CImageCodecs.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jpeglib.h>  // after stdio.h, which it needs
#include <jerror.h>

typedef const struct kedge_image_limits *limits_pointer;

// What a jump must find intact lives here, in the frame below the one that calls setjmp, never in that one's locals.
struct session {
    jmp_buf start;
    int status; char *message;
    const uint8_t *input; size_t input_left;
    uint8_t *output;    // decoded samples or encoded bytes
    size_t output_count, output_capacity;
    png_structp png; png_infop info; png_bytep *rows; int has_pixels;
    struct jpeg_error_mgr errors; struct jpeg_progress_mgr progress; uint32_t max_scans;
};

// Ends the reading or writing that called setjmp.
static void stop(struct session *session, int status, const char *message) {
    session->status = status;
    snprintf(session->message, KEDGE_IMAGE_MESSAGE_BYTES, "%s", message);
    longjmp(session->start, 1);
}

static void *allocate(struct session *session, size_t bytes) {
    void *pointer = malloc(bytes);
    if (!pointer) stop(session, KEDGE_IMAGE_OUT_OF_MEMORY, "not enough memory for the image");
    return pointer;
}

static void check_size(struct session *session, uint64_t width, uint64_t height, limits_pointer limits) {
    if (width > limits->max_side || height > limits->max_side || width * height > limits->max_pixels)
        stop(session, KEDGE_IMAGE_OVER_LIMIT, "more pixels than the limit");
}

void kedge_image_free(void *pointer) { free(pointer); }

static void on_png_error(png_structp png, png_const_charp message) {
    stop(png_get_error_ptr(png), KEDGE_IMAGE_DAMAGED, message);
}

static void on_png_warning(png_structp png, png_const_charp message) { (void)png, (void)message; }

static void read_input(png_structp png, png_bytep data, size_t count) {
    struct session *session = png_get_io_ptr(png);
    if (count > session->input_left)
        stop(session, KEDGE_IMAGE_DAMAGED,
             session->has_pixels ? "its pixels are there, but the file is cut short before its last chunk (IEND)"
                                 : "the data ends inside the image");
    memcpy(data, session->input, count);
    session->input += count;
    session->input_left -= count;
}

static void open_png(struct session *session, limits_pointer limits) {
    session->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, session, on_png_error, on_png_warning);
    session->info = session->png ? png_create_info_struct(session->png) : NULL;
    if (!session->info) stop(session, KEDGE_IMAGE_OUT_OF_MEMORY, "libpng could not start");
    png_set_user_limits(session->png, limits->max_side, limits->max_side);
    png_set_chunk_malloc_max(session->png, 8 << 20);
    png_set_chunk_cache_max(session->png, 64);
    // Only the chunks that hold pixels are read; text, colour profiles and gamma are skipped unparsed.
    png_set_keep_unknown_chunks(session->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_read_fn(session->png, session, read_input);
    png_read_info(session->png, session->info);
}

// Reads all rows after the transforms are chosen.
static void read_png_samples(struct session *session, limits_pointer limits, uint32_t channels, struct kedge_image *out) {
    png_structp png = session->png;
    uint32_t width = png_get_image_width(png, session->info), height = png_get_image_height(png, session->info);
    check_size(session, width, height, limits);
    png_set_interlace_handling(png);
    png_read_update_info(png, session->info);
    uint32_t bytes_per_sample = png_get_bit_depth(png, session->info) == 16 ? 2 : 1;
    size_t row_bytes = (size_t)width * channels * bytes_per_sample;
    if (png_get_rowbytes(png, session->info) != row_bytes)
        stop(session, KEDGE_IMAGE_UNSUPPORTED, "unexpected number of samples in a row");
    session->output = allocate(session, row_bytes * height);
    session->rows = allocate(session, sizeof(png_bytep) * height);
    for (uint32_t y = 0; y < height; y++) session->rows[y] = session->output + y * row_bytes;
    png_read_image(png, session->rows);
    session->has_pixels = 1;
    png_read_end(png, NULL);
    *out = (struct kedge_image){width, height, channels, bytes_per_sample, NULL};
}

static int read_png(struct session *session, limits_pointer limits, int form, struct kedge_image *out) {
    if (setjmp(session->start)) return session->status;
    open_png(session, limits);
    png_byte colour_type = png_get_color_type(session->png, session->info);
    uint32_t channels = form == KEDGE_PNG_RGB ? 3 : 1;
    if (form == KEDGE_PNG_LABELS) {
        if (colour_type != PNG_COLOR_TYPE_GRAY && colour_type != PNG_COLOR_TYPE_PALETTE)
            stop(session, KEDGE_IMAGE_UNSUPPORTED, "its pixels are colours or have alpha");
        png_set_packing(session->png);
    } else if (form == KEDGE_PNG_DEEP) {
        if (png_get_bit_depth(session->png, session->info) != 16)
            stop(session, KEDGE_IMAGE_UNSUPPORTED, "fewer than 16 bits per sample");
        if (colour_type & PNG_COLOR_MASK_COLOR) channels = 3;
        png_set_strip_alpha(session->png);
    } else {
        png_set_expand(session->png);
        png_set_strip_16(session->png);
        png_set_gray_to_rgb(session->png);
        png_set_strip_alpha(session->png);
    }
    read_png_samples(session, limits, channels, out);
    return KEDGE_IMAGE_OK;
}

int kedge_png_decode(const uint8_t *bytes, size_t count, limits_pointer limits, int form, struct kedge_image *out,
                     char *message) {
    struct session session = {.message = message, .input = bytes, .input_left = count};
    int status = read_png(&session, limits, form, out);
    png_destroy_read_struct(&session.png, &session.info, NULL);
    free(session.rows);
    out->samples = session.output;
    return status;
}

static void write_output(png_structp png, png_bytep data, size_t count) {
    struct session *session = png_get_io_ptr(png);
    if (session->output_count + count > session->output_capacity) {
        size_t capacity = 2 * (session->output_count + count);
        uint8_t *grown = realloc(session->output, capacity);
        if (!grown) stop(session, KEDGE_IMAGE_OUT_OF_MEMORY, "not enough memory for the encoded image");
        session->output = grown;
        session->output_capacity = capacity;
    }
    memcpy(session->output + session->output_count, data, count);
    session->output_count += count;
}

static void flush_output(png_structp png) { (void)png; }
static int write_png(struct session *session, const struct kedge_image *image) {
    if (setjmp(session->start)) return session->status;
    session->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, session, on_png_error, on_png_warning);
    session->info = session->png ? png_create_info_struct(session->png) : NULL;
    if (!session->info) stop(session, KEDGE_IMAGE_OUT_OF_MEMORY, "libpng could not start");
    png_set_write_fn(session->png, session, write_output, flush_output);
    png_set_IHDR(session->png, session->info, image->width, image->height, 8 * (int)image->bytes_per_sample,
                 image->channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(session->png, session->info);
    size_t row_bytes = (size_t)image->width * image->channels * image->bytes_per_sample;
    for (uint32_t y = 0; y < image->height; y++) png_write_row(session->png, image->samples + y * row_bytes);
    png_write_end(session->png, NULL);
    return KEDGE_IMAGE_OK;
}

int kedge_png_encode(const struct kedge_image *image, struct kedge_image_bytes *out, char *message) {
    struct session session = {.message = message};
    int status = write_png(&session, image);
    png_destroy_write_struct(&session.png, &session.info);
    *out = (struct kedge_image_bytes){session.output, session.output_count};
    return status;
}

static void on_jpeg_error(j_common_ptr codec) {
    char text[JMSG_LENGTH_MAX];
    codec->err->format_message(codec, text);
    int status = KEDGE_IMAGE_DAMAGED, code = codec->err->msg_code;
    if (code == JERR_BAD_PRECISION || code == JERR_SOF_UNSUPPORTED || code == JERR_CONVERSION_NOTIMPL)
        status = KEDGE_IMAGE_UNSUPPORTED;
    if (code == JERR_OUT_OF_MEMORY) status = KEDGE_IMAGE_OUT_OF_MEMORY;
    if (code == JERR_IMAGE_TOO_BIG || code == JERR_NO_BACKING_STORE) status = KEDGE_IMAGE_OVER_LIMIT;
    stop(codec->client_data, status, text);
}

// libjpeg continues after these warnings with invented samples, so here they are errors. Other warnings leave the
// samples right (bytes between segments, unknown marker versions) and are ignored, as are trace messages.
static void on_jpeg_message(j_common_ptr codec, int level) {
    int code = codec->err->msg_code;
    if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE ||
                      code == JWRN_ARITH_BAD_CODE || code == JWRN_MUST_RESYNC))
        on_jpeg_error(codec);
}

static void print_nothing(j_common_ptr codec) { (void)codec; }

static void on_progress(j_common_ptr codec) {
    struct session *session = codec->client_data;
    if (((j_decompress_ptr)codec)->input_scan_number > (int)session->max_scans)
        stop(session, KEDGE_IMAGE_OVER_LIMIT, "more progressive scans than the limit");
}

static struct jpeg_error_mgr *quiet_errors(struct session *session) {
    jpeg_std_error(&session->errors);
    session->errors.error_exit = on_jpeg_error;
    session->errors.emit_message = on_jpeg_message;
    session->errors.output_message = print_nothing;
    return &session->errors;
}

static int read_jpeg(struct session *session, j_decompress_ptr jpeg, limits_pointer limits, struct kedge_image *out) {
    if (setjmp(session->start)) return session->status;
    jpeg_create_decompress(jpeg);
    jpeg->mem->max_memory_to_use = (long)limits->max_memory;
    jpeg->progress = &session->progress;
    jpeg_mem_src(jpeg, session->input, session->input_left);
    jpeg_read_header(jpeg, TRUE);
    check_size(session, jpeg->image_width, jpeg->image_height, limits);
    if (jpeg->arith_code) stop(session, KEDGE_IMAGE_UNSUPPORTED, "arithmetic coding");
    if (jpeg->num_components != 1 && jpeg->num_components != 3)
        stop(session, KEDGE_IMAGE_UNSUPPORTED, "neither one nor three components (CMYK?)");
    jpeg->out_color_space = JCS_RGB;
    jpeg_start_decompress(jpeg);
    *out = (struct kedge_image){jpeg->output_width, jpeg->output_height, 3, 1, NULL};
    size_t row_bytes = (size_t)out->width * 3;
    session->output = allocate(session, row_bytes * out->height);
    while (jpeg->output_scanline < jpeg->output_height) {
        JSAMPROW row = session->output + jpeg->output_scanline * row_bytes;
        jpeg_read_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_decompress(jpeg);
    return KEDGE_IMAGE_OK;
}

int kedge_jpeg_decode(const uint8_t *bytes, size_t count, limits_pointer limits, struct kedge_image *out,
                      char *message) {
    struct session session = {.message = message, .input = bytes, .input_left = count, .max_scans = limits->max_scans,
                              .progress.progress_monitor = on_progress};
    struct jpeg_decompress_struct jpeg = {.client_data = &session, .err = quiet_errors(&session)};
    int status = read_jpeg(&session, &jpeg, limits, out);
    jpeg_destroy_decompress(&jpeg);
    out->samples = session.output;
    return status;
}

static int write_jpeg(struct session *session, j_compress_ptr jpeg, const struct kedge_image *image, int quality) {
    if (setjmp(session->start)) return session->status;
    // A first buffer no image can outgrow, so that libjpeg never replaces it and the session alone owns it.
    session->output_count = ((size_t)image->width + 15) * ((size_t)image->height + 15) * 6 + 4096;
    session->output = allocate(session, session->output_count);
    jpeg_create_compress(jpeg);
    jpeg_mem_dest(jpeg, &session->output, &session->output_count);
    jpeg->image_width = image->width;
    jpeg->image_height = image->height;
    jpeg->input_components = (int)image->channels;
    jpeg->in_color_space = image->channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, quality, TRUE);
    jpeg_start_compress(jpeg, TRUE);
    while (jpeg->next_scanline < jpeg->image_height) {
        JSAMPROW row = image->samples + (size_t)jpeg->next_scanline * image->width * image->channels;
        jpeg_write_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_compress(jpeg);
    return KEDGE_IMAGE_OK;
}

int kedge_jpeg_encode(const struct kedge_image *image, int quality, struct kedge_image_bytes *out, char *message) {
    struct session session = {.message = message};
    struct jpeg_compress_struct jpeg = {.client_data = &session, .err = quiet_errors(&session)};
    int status = write_jpeg(&session, &jpeg, image, quality);
    jpeg_destroy_compress(&jpeg);
    *out = (struct kedge_image_bytes){session.output, session.output_count};
    return status;
}
