mod documentation;
mod every_key;
mod reading;
mod shipped;
mod support;
