mod documentation;
mod estimates;
mod every_key;
mod reading;
mod shipped;
mod support;
